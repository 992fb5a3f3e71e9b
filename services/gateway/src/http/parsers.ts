import { ForebayError } from '@forebay/kernel'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { parseJson } from './parse-json.ts'

type Parsers = Pick<FastifyInstance, 'addContentTypeParser' | 'removeContentTypeParser'>

/** JSON bodies are parsed strictly (an empty one is no body); a multipart body is left to its handler to stream, where the route takes one. */
export function installParsers(app: Parsers): void {
  app.removeContentTypeParser(['application/json', 'text/plain'])
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, async (_request: unknown, body: Buffer) =>
    body.length === 0 ? undefined : parseJson(body),
  )
  app.addContentTypeParser('multipart/form-data', async (request: FastifyRequest) => {
    if (request.routeOptions.schema?.consumes?.includes('multipart/form-data')) return undefined
    throw new ForebayError('unsupported_media_type', "Unsupported 'Content-Type'. Send 'application/json'.")
  })
}

/** JSON bodies stay bytes: real-time requests reach the engine as they came. */
export function installRawParser(app: Parsers): void {
  app.removeContentTypeParser(['application/json'])
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request: unknown, body: Buffer, done) =>
    done(null, body),
  )
}
