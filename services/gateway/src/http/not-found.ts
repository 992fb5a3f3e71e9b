import { ForebayError } from '@forebay/kernel'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'

/** Remembers the routes that are added after it, and answers what none of them takes: 405 where only the method is wrong, else 404. */
export function installNotFound(app: Pick<FastifyInstance, 'addHook' | 'setNotFoundHandler'>): void {
  const routes: { pattern: RegExp; methods: Set<string> }[] = []
  app.addHook('onRoute', (route) => {
    const source = route.url
      .replace(/[.+?^${}()|[\]\\]/g, '\\$&')
      .replaceAll('*', '.+')
      .replace(/:[^/]+/g, '[^/]+')
    routes.push({ pattern: new RegExp(`^${source}$`), methods: new Set([route.method].flat()) })
  })
  app.setNotFoundHandler((request: FastifyRequest, reply: FastifyReply) => {
    const path = request.url.split('?')[0] ?? ''
    const allowed = new Set(routes.filter((route) => route.pattern.test(path)).flatMap((route) => [...route.methods]))
    if (allowed.size > 0) {
      reply.header('allow', [...allowed].join(', '))
      throw new ForebayError(
        'method_not_allowed',
        `Not allowed to ${request.method} on ${path}. Use ${[...allowed].join(' or ')}.`,
      )
    }
    throw new ForebayError('not_found', `Invalid URL (${request.method} ${path})`)
  })
}
