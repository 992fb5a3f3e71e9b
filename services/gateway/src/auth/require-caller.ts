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
  const { authenticator, role } = options
  app.addHook('onRequest', (request, reply, done) => {
    const enter = (caller: Caller) => {
      request.caller = caller
      if (role === undefined || caller.role === role) done()
      else done(new ForebayError('permission_denied', 'This needs an API key with the role admin.'))
    }
    const { authorization } = request.headers
    // Nearly always: no promise is made for it.
    const known = authenticator.known(authorization)
    if (known) return enter(known)
    authenticator.authenticate(authorization).then(enter, (err: Error) => {
      reply.header('www-authenticate', 'Bearer')
      done(err)
    })
  })
}

/** The caller of a request on a route behind `requireCaller`. */
export function callerOf(request: FastifyRequest): Caller {
  if (!request.caller) throw new Error('the route is not behind requireCaller')
  return request.caller
}
