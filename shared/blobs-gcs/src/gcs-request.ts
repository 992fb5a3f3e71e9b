import { Readable } from 'node:stream'
import { untilAnswered } from '@forebay/blobs'
import type { Clock } from '@forebay/kernel'
import { gaxios } from 'google-auth-library'

/** Sends one request, with retries unless told otherwise; rejects for a status that is no success. */
export type GcsRequest = <T>(options: gaxios.GaxiosOptions) => Promise<gaxios.GaxiosResponse<T>>

/** How long an answer may take to begin, the sending of a piece and every try included. */
const answerMs = 120_000

const retryConfig = {
  retry: 3,
  noResponseRetries: 3,
  retryDelay: 200,
  maxRetryDelay: 5_000,
  httpMethodsToRetry: ['GET', 'POST', 'PUT', 'DELETE'],
}

/** Sends requests through `client`, which adds the credentials. Each one the driver makes is safe to repeat. */
export function makeGcsRequest(options: { client: { request: GcsRequest }; clock: Clock }): GcsRequest {
  return async <T>(request: gaxios.GaxiosOptions) => {
    try {
      return await untilAnswered({
        clock: options.clock,
        limitMs: answerMs,
        work: (signal) => options.client.request<T>({ signal, retryConfig, ...request }),
      })
    } catch (err) {
      // The body of a refused read is of no use and holds its connection.
      const data: unknown = err instanceof gaxios.GaxiosError ? err.response?.data : undefined
      if (data instanceof Readable) data.destroy()
      throw err
    }
  }
}
