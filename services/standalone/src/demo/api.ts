import { randomUUID } from 'node:crypto'
import { request } from 'undici'

export interface BatchView {
  id: string
  status: string
  request_counts: { total: number; completed: number; failed: number }
  output_file_id: string | null
  error_file_id: string | null
  usage: { input_tokens: number; output_tokens: number; total_tokens: number } | null
}

export interface Api {
  call<T>(method: 'GET' | 'POST' | 'DELETE', path: string, body?: unknown): Promise<T>
  upload(name: string, text: string): Promise<string>
  content(fileId: string): Promise<string>
}

/** The few calls the demo makes of the API. Throws with the API's own message. */
export function makeApi(options: { url: string; apiKey: string }): Api {
  const authorization = `Bearer ${options.apiKey}`
  const send = async (
    method: 'GET' | 'POST' | 'DELETE',
    path: string,
    headers: Record<string, string>,
    body: string | null,
  ) => {
    const response = await request(options.url + path, { method, headers: { authorization, ...headers }, body })
    const text = await response.body.text()
    if (response.statusCode >= 300) throw new Error(`${method} ${path}: ${response.statusCode} ${text}`)
    return text
  }
  const call = async <T>(method: 'GET' | 'POST' | 'DELETE', path: string, body?: unknown): Promise<T> =>
    JSON.parse(
      await send(
        method,
        path,
        body === undefined ? {} : { 'content-type': 'application/json' },
        body === undefined ? null : JSON.stringify(body),
      ),
    )
  return {
    call,
    upload: async (name, text) => {
      // By hand: undici's form of a Blob never ends when server and client share one process of Node 24.
      const boundary = `forebay-${randomUUID()}`
      const part = (head: string, body: string) =>
        `--${boundary}\r\ncontent-disposition: form-data; ${head}\r\n\r\n${body}\r\n`
      const form = `${part('name="purpose"', 'batch')}${part(`name="file"; filename="${name}"`, text)}--${boundary}--\r\n`
      const headers = { 'content-type': `multipart/form-data; boundary=${boundary}` }
      const file: { id: string } = JSON.parse(await send('POST', '/v1/files', headers, form))
      return file.id
    },
    content: (fileId) => send('GET', `/v1/files/${fileId}/content`, {}, null),
  }
}
