import type { FastifyInstance } from 'fastify'
import { parseJson } from './parse-json.ts'

type Parsers = Pick<FastifyInstance, 'addContentTypeParser' | 'removeContentTypeParser'>

/** JSON bodies are parsed strictly (an empty one is no body); a multipart body is left to its handler to stream. */
export function installParsers(app: Parsers): void {
  app.removeContentTypeParser(['application/json', 'text/plain'])
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, async (_request: unknown, body: Buffer) =>
    body.length === 0 ? undefined : parseJson(body),
  )
  app.addContentTypeParser('multipart/form-data', async () => undefined)
}

/** JSON bodies stay bytes: real-time requests reach the engine as they came. */
export function installRawParser(app: Parsers): void {
  app.removeContentTypeParser(['application/json'])
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, async (_request: unknown, body: Buffer) => body)
}
