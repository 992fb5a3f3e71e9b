import fastifySwagger from '@fastify/swagger'
import fastifySwaggerUi from '@fastify/swagger-ui'
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod'
import type { App } from '../gateway-deps.ts'

/** /openapi.json, made of the routes' own schemas, and /docs to read it; nothing is loaded from elsewhere. Register before the routes. */
export async function installDocs(app: App): Promise<void> {
  await app.register(fastifySwagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Forebay',
        version: '1.0.0',
        description: 'The OpenAI API for files, batches and real-time inference, and what Forebay adds to it.',
      },
      components: { securitySchemes: { key: { type: 'http', scheme: 'bearer' } } },
      security: [{ key: [] }],
    },
    transform: (document) => {
      const { schema, url } = jsonSchemaTransform(document)
      return { schema, url: url === '/v1/models/*' ? '/v1/models/{id}' : url }
    },
    transformObject: jsonSchemaTransformObject,
  })
  await app.register(fastifySwaggerUi, {
    routePrefix: '/docs',
    // The bar above carries another project's logo and a box to open any document; this page is of this server only.
    theme: {
      title: 'Forebay API',
      css: [{ filename: 'forebay.css', content: '.swagger-ui .topbar { display: none }' }],
    },
    uiConfig: { deepLinking: true, persistAuthorization: false },
    staticCSP: {
      'default-src': ["'self'"],
      'script-src': ["'self'"],
      'style-src': ["'self'", "'unsafe-inline'"],
      'img-src': ["'self'", 'data:'],
      'object-src': ["'none'"],
      'base-uri': ["'self'"],
      'frame-ancestors': ["'none'"],
    },
  })
  app.route({
    method: 'GET',
    url: '/openapi.json',
    schema: { hide: true },
    handler: async (_request, reply) => reply.type('application/json').send(JSON.stringify(app.swagger())),
  })
}
