import { ForebayError } from '@forebay/kernel'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Authenticator, Caller } from './authenticator.ts'

declare module 'fastify' {
  interface FastifyRequest {
    caller: Caller | undefined
  }
}

/** Every route added to `app` after this answers 401 without a valid key, before its body is read; with `role`, 403 to others. */
export function requireCaller(
  app: Pick<FastifyInstance, 'addHook'>,
  options: { authenticator: Authenticator; role?: 'admin' },
): void {
  app.addHook('onRequest', async (request, reply) => {
    try {
      request.caller = await options.authenticator.authenticate(request.headers.authorization)
    } catch (err) {
      reply.header('www-authenticate', 'Bearer')
      throw err
    }
    if (options.role !== undefined && request.caller.role !== options.role) {
      throw new ForebayError('permission_denied', 'This needs an API key with the role admin.')
    }
  })
}

/** The caller of a request on a route behind `requireCaller`. */
export function callerOf(request: FastifyRequest): Caller {
  if (!request.caller) throw new Error('the route is not behind requireCaller')
  return request.caller
}
