import type { Clock } from '@forebay/kernel'
import { Agent, type Dispatcher } from 'undici'
import { readFailure, readJson, retryWaitMs } from './api-answers.ts'
import type { FileObject, Page } from './api-objects.ts'
import { exitCodes, Failure } from './failure.ts'
import { multipartUpload } from './multipart-upload.ts'

const pageSize = 100

type Query = Record<string, string | number | undefined>

type Method = 'GET' | 'POST' | 'PUT' | 'DELETE'

interface Extra {
  query?: Query | undefined
  body?: Dispatcher.DispatchOptions['body'] | undefined
  headers?: Record<string, string>
}

interface CallOptions {
  query?: Query
  body?: unknown
  /** Makes a POST safe to repeat. */
  idempotencyKey?: string
}

/** What the commands need of the API. Every call throws a Failure that can be shown, or the signal's reason. */
export interface ApiClient {
  call<T>(method: Method, path: string, options?: CallOptions): Promise<T>
  /** All items of a list, or the first `limit` of them. */
  list<T extends { id: string }>(path: string, options?: { query?: Query; limit?: number }): Promise<T[]>
  /** Streams a file from disk; `onBytes` hears of each piece. */
  upload(path: string, options: { purpose: string; onBytes: (count: number) => void }): Promise<FileObject>
  /** A file's content, streamed. */
  content(fileId: string): Promise<AsyncIterable<Buffer>>
  /** Bytes of any answer, streamed. */
  download(path: string, query?: Query): Promise<AsyncIterable<Buffer>>
  close(): Promise<void>
}

/** Makes a client. Reads and idempotent calls are tried again when the network or the server is in trouble. */
export function makeApiClient(options: { url: string; apiKey: string; clock: Clock; signal: AbortSignal }): ApiClient {
  const { clock, signal } = options
  const base = options.url.replace(/\/+$/, '').replace(/\/v1$/, '')
  const agent = new Agent({ connect: { timeout: 10_000 }, headersTimeout: 600_000 })
  const ownHeaders = { authorization: `Bearer ${options.apiKey}`, 'user-agent': 'forebay-cli' }

  const once = async (method: Method, path: string, extra: Extra = {}): Promise<Dispatcher.ResponseData> => {
    const url = new URL(`${base}${path}`)
    for (const [name, value] of Object.entries(extra.query ?? {}))
      if (value !== undefined) url.searchParams.set(name, String(value))
    try {
      const response = await agent.request({
        origin: url.origin,
        path: `${url.pathname}${url.search}`,
        method,
        headers: { ...ownHeaders, ...extra.headers },
        body: extra.body ?? null,
        signal,
      })
      if (response.statusCode >= 200 && response.statusCode < 300) return response
      throw await readFailure(response)
    } catch (err) {
      throw asFailure(err)
    }
  }

  const asFailure = (err: unknown): unknown => {
    if (signal.aborted) return signal.reason
    if (err instanceof Failure) return err
    const code = err instanceof Error && 'code' in err ? String(err.code) : String(err)
    return new Failure(
      exitCodes.network,
      `Cannot reach ${base} (${code}). Is the gateway running there? Set FOREBAY_URL or --url.`,
    )
  }

  const client: ApiClient = {
    call: async <T>(method: Method, path: string, callOptions: CallOptions = {}) => {
      const { query, body, idempotencyKey } = callOptions
      const repeatable = method === 'GET' || idempotencyKey !== undefined
      for (let tries = 1; ; tries++) {
        try {
          const response = await once(method, path, {
            query,
            body: body === undefined ? undefined : JSON.stringify(body),
            headers: {
              ...(body === undefined ? {} : { 'content-type': 'application/json' }),
              ...(idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey }),
            },
          })
          return (await readJson(response, base)) as T
        } catch (err) {
          const waitMs = repeatable ? retryWaitMs(err, tries) : undefined
          if (waitMs === undefined) throw asFailure(err)
          await clock.sleep(waitMs, signal)
        }
      }
    },

    list: async <T extends { id: string }>(path: string, listOptions: { query?: Query; limit?: number } = {}) => {
      const items: T[] = []
      const limit = listOptions.limit ?? Number.POSITIVE_INFINITY
      for (let after: string | undefined; ; ) {
        const query = { ...listOptions.query, limit: Math.min(pageSize, limit - items.length), after }
        const page = await client.call<Page<T>>('GET', path, { query })
        items.push(...page.data)
        after = page.data.at(-1)?.id
        if (!page.has_more || after === undefined || items.length >= limit) return items.slice(0, limit)
      }
    },

    upload: async (path, { purpose, onBytes }) => {
      const { body, headers } = await multipartUpload({ path, purpose, onBytes })
      const response = await once('POST', '/v1/files', { body, headers })
      return (await readJson(response, base)) as FileObject
    },

    content: (fileId) => client.download(`/v1/files/${encodeURIComponent(fileId)}/content`),

    download: async (path, query) => {
      const response = await once('GET', path, { query })
      return (async function* () {
        try {
          for await (const part of response.body) yield part as Buffer
        } catch (err) {
          throw asFailure(err)
        }
      })()
    },

    close: () => agent.destroy(),
  }
  return client
}
