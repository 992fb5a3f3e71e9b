import { Readable } from 'node:stream'
import { gaxios } from 'google-auth-library'

/** Sends one request, with retries unless told otherwise; rejects for a status that is no success. */
export type GcsRequest = <T>(options: gaxios.GaxiosOptions) => Promise<gaxios.GaxiosResponse<T>>

/** Sends requests through `client`, which adds the credentials. Each one the driver makes is safe to repeat. */
export function makeGcsRequest(options: { client: { request: GcsRequest } }): GcsRequest {
  return async <T>(request: gaxios.GaxiosOptions) => {
    try {
      return await options.client.request<T>({
        timeout: 120_000,
        retryConfig: {
          retry: 3,
          noResponseRetries: 3,
          retryDelay: 200,
          maxRetryDelay: 5_000,
          httpMethodsToRetry: ['GET', 'POST', 'PUT', 'DELETE'],
        },
        ...request,
      })
    } catch (err) {
      // The body of a refused read is of no use and holds its connection.
      const data: unknown = err instanceof gaxios.GaxiosError ? err.response?.data : undefined
      if (data instanceof Readable) data.destroy()
      throw err
    }
  }
}
