import { systemClock } from '@forebay/kernel'
import { FormData, request } from 'undici'

export interface BatchView {
  id: string
  status: string
  request_counts: { total: number; completed: number; failed: number }
  output_file_id: string | null
  error_file_id: string | null
  errors: unknown
}

/**
 * A client as a careful user would write it: it tries again when the connection breaks or the server is unavailable,
 * and creates batches under an Idempotency-Key, so that a retry is safe. Gives up after two minutes without an answer.
 */
export class FaultClient {
  readonly #urls: readonly string[]
  readonly #apiKey: string
  #next = 0

  constructor(options: { urls: readonly string[]; apiKey: string }) {
    this.#urls = options.urls
    this.#apiKey = options.apiKey
  }

  async upload(name: string, text: string): Promise<string> {
    const form = new FormData()
    form.set('purpose', 'batch')
    form.set('file', new Blob([text]), name)
    const file: { id: string } = JSON.parse(await this.#send('POST', '/v1/files', {}, form))
    return file.id
  }

  async createBatch(fileId: string, key: string): Promise<BatchView> {
    const body = JSON.stringify({ input_file_id: fileId, endpoint: '/v1/chat/completions', completion_window: '24h' })
    return JSON.parse(
      await this.#send('POST', '/v1/batches', { 'content-type': 'application/json', 'idempotency-key': key }, body),
    )
  }

  async batch(id: string): Promise<BatchView> {
    return JSON.parse(await this.#send('GET', `/v1/batches/${id}`, {}, null))
  }

  content(fileId: string): Promise<string> {
    return this.#send('GET', `/v1/files/${fileId}/content`, {}, null)
  }

  async #send(
    method: 'GET' | 'POST',
    path: string,
    headers: Record<string, string>,
    body: string | FormData | null,
  ): Promise<string> {
    let last: unknown
    for (const endMs = systemClock.now() + 120_000; systemClock.now() < endMs; ) {
      const url = this.#urls[this.#next++ % this.#urls.length] ?? ''
      try {
        const response = await request(url + path, {
          method,
          headers: { authorization: `Bearer ${this.#apiKey}`, ...headers },
          body,
          headersTimeout: 30_000,
          bodyTimeout: 30_000,
        })
        const text = await response.body.text()
        if (response.statusCode < 300) return text
        last = new Error(`${method} ${path}: ${response.statusCode} ${text}`)
        if (response.statusCode < 500 && response.statusCode !== 429 && response.statusCode !== 409) break
      } catch (err) {
        last = err
      }
      await systemClock.sleep(100)
    }
    throw last
  }
}
