import { eitherSignal, ForebayError, type Running } from '@forebay/kernel'
import { Agent, request } from 'undici'

/** An answer of a metadata service. */
export interface MetadataReply {
  readonly status: number
  readonly headers: Record<string, string | string[] | undefined>
  readonly text: string
}

/** A question to a metadata service. */
export interface MetadataQuestion {
  readonly method?: 'GET' | 'PUT' | 'POST'
  readonly path: string
  readonly headers?: Record<string, string>
  readonly body?: string
  /** Longest wait for the answer. */
  readonly timeoutMs?: number
}

/** HTTP to the metadata service of the machine. */
export interface MetadataClient extends Running {
  /** Any status is an answer. Rejects when none comes in time, or when `signal` aborts. */
  ask(question: MetadataQuestion, signal: AbortSignal): Promise<MetadataReply>
}

/** `url` is scheme, host and port. Nothing is sent before the first question. */
export function openMetadataClient(url: string): MetadataClient {
  const { origin } = new URL(url)
  const agent = new Agent({ connect: { timeout: 2_000 }, headersTimeout: 0, bodyTimeout: 0 })
  return {
    async ask({ method = 'GET', path, headers = {}, body, timeoutMs = 3_000 }, signal) {
      const either = eitherSignal(signal, AbortSignal.timeout(timeoutMs))
      try {
        const response = await request(origin + path, {
          method,
          headers,
          body: body ?? null,
          dispatcher: agent,
          signal: either.signal,
        })
        return { status: response.statusCode, headers: response.headers, text: await response.body.text() }
      } finally {
        either.release()
      }
    },
    stop: () => agent.destroy(),
  }
}

/** The error of an answer that is none. */
export function unexpected(path: string, reply: MetadataReply): ForebayError {
  return new ForebayError('unavailable', `The metadata service answered ${path} with status ${reply.status}.`)
}
