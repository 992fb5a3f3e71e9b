const types: Record<number, string> = {
  400: 'BadRequestError',
  404: 'NotFoundError',
  405: 'MethodNotAllowedError',
  413: 'BadRequestError',
  429: 'RateLimitError',
  500: 'InternalServerError',
  503: 'ServiceUnavailableError',
}

/** An error in vLLM's own form, which differs from OpenAI's: `code` is the HTTP status. */
export class ApiError extends Error {
  readonly status: number
  readonly param: string | null
  readonly retryAfterS: number | undefined

  constructor(status: number, message: string, param: string | null = null, retryAfterS?: number) {
    super(message)
    this.name = 'ApiError'
    this.status = status
    this.param = param
    this.retryAfterS = retryAfterS
  }

  /** vLLM's body: `{"error":{"message","type","param","code"}}`. */
  toBody(): object {
    return {
      error: {
        message: this.message,
        type: types[this.status] ?? 'InternalServerError',
        param: this.param,
        code: this.status,
      },
    }
  }
}
