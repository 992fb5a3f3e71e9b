import { ForebayError, newId } from '@forebay/kernel'
import { fastify } from 'fastify'
import { serializerCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod'
import { requireCaller } from './auth/require-caller.ts'
import type { App, GatewayDeps, Route } from './gateway-deps.ts'
import { answerBrokenRequest } from './http/broken-request.ts'
import { installDocs } from './http/install-docs.ts'
import { installNotFound } from './http/not-found.ts'
import { installParsers, installRawParser } from './http/parsers.ts'
import { makeErrorSender } from './http/send-error.ts'
import { validatorCompiler } from './http/validator.ts'
import { adminRoutes, liveRoutes, openRoutes, userRoutes } from './routes/index.ts'

/** The slowest upload that is still taken. */
const requestMsMax = 30 * 60_000

/** The HTTP application: hooks, parsers, errors and every route, on what it is given. Not yet listening. */
export async function buildApp(deps: GatewayDeps, options: { stopping: () => boolean }): Promise<App> {
  const { clock, config, metrics } = deps
  const sendError = makeErrorSender({ logger: deps.logger })
  const app: App = fastify({
    bodyLimit: config.maxBodyBytes,
    requestTimeout: requestMsMax,
    keepAliveTimeout: 75_000,
    requestIdHeader: false,
    genReqId: () => newId('req_', clock.now()),
    return503OnClosing: false,
    routerOptions: { maxParamLength: 1_024 },
    clientErrorHandler: answerBrokenRequest(() => newId('req_', clock.now())),
    frameworkErrors: (err, request, reply) => {
      reply.header('x-request-id', request.id)
      sendError(err, request, reply)
    },
  }).withTypeProvider<ZodTypeProvider>()
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  app.setErrorHandler(sendError)
  app.decorateRequest('caller', undefined)
  installParsers(app)

  // Hooks call back where they need not wait: each promise is a part of what a live request costs.
  const startedMs = new WeakMap<object, number>()
  app.addHook('onRequest', (request, reply, done) => {
    startedMs.set(request, clock.now())
    reply.header('x-request-id', request.id)
    if (!options.stopping()) return done()
    reply.header('connection', 'close')
    done(new ForebayError('unavailable', 'The server is shutting down. Please retry.', { retryAfterMs: 1000 }))
  })
  app.addHook('onSend', (request, reply, _payload, done) => {
    if (!reply.hasHeader('openai-processing-ms')) {
      reply.header('openai-processing-ms', String(clock.now() - (startedMs.get(request) ?? clock.now())))
    }
    done()
  })
  app.addHook('onResponse', (request, reply, done) => {
    const labels = {
      method: request.method,
      route: request.routeOptions.url ?? 'none',
      status: String(reply.raw.statusCode),
    }
    metrics.httpSeconds.observe(labels, (clock.now() - (startedMs.get(request) ?? clock.now())) / 1000)
    done()
  })

  installNotFound(app)
  await installDocs(app)
  const scope = async (routes: readonly Route[], prepare: (scoped: App) => void) => {
    await app.register(async (scoped) => {
      prepare(scoped)
      for (const route of routes) route(scoped, deps)
    })
  }
  const { authenticator } = deps
  await scope(openRoutes, () => {})
  await scope(userRoutes, (scoped) => requireCaller(scoped, { authenticator }))
  await scope(adminRoutes, (scoped) => requireCaller(scoped, { authenticator, role: 'admin' }))
  await scope(liveRoutes, (scoped) => {
    requireCaller(scoped, { authenticator })
    installRawParser(scoped)
  })
  await app.ready()
  return app
}
