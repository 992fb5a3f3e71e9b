import { readdirSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parse } from 'yaml'
import { z } from 'zod'

/** The repository's root. */
export const root = resolve(import.meta.dirname, '../../..')

/** A file's text, by its path from the root. */
export const text = (path: string): string => readFileSync(join(root, path), 'utf8')

/** The paths of a folder's files, from the root. */
export const filesOf = (folder: string): string[] => readdirSync(join(root, folder)).map((name) => `${folder}/${name}`)

const environment = z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).default({})
const service = z.looseObject({
  image: z.string(),
  build: z.string().optional(),
  command: z.array(z.string()).optional(),
  environment,
  profiles: z.array(z.string()).default([]),
  volumes: z.array(z.string()).default([]),
  networks: z.array(z.string()).default(['default']),
  depends_on: z.union([z.array(z.string()), z.record(z.string(), z.object({ condition: z.string() }))]).default([]),
  healthcheck: z.looseObject({ test: z.array(z.string()).optional(), disable: z.boolean().optional() }).optional(),
})

/** A service of docker-compose.yml, merges resolved, variables not. */
export type Service = z.output<typeof service>

/** docker-compose.yml as parsed, and its services. */
export function readCompose(): { document: Record<string, unknown>; services: Record<string, Service> } {
  const document = z.record(z.string(), z.unknown()).parse(parse(text('docker-compose.yml'), { merge: true }))
  return { document, services: z.record(z.string(), service).parse(document['services']) }
}

/** Puts values for `${NAME}`, `${NAME:-default}` and `${NAME:?why}`, as compose does. */
export function interpolate(value: string, given: Readonly<Record<string, string>> = {}): string {
  return value.replace(/\$\{(\w+)(?::([-?])([^}]*))?\}/g, (_, name: string, kind?: string, rest?: string) => {
    const found = given[name] || undefined
    if (found === undefined && kind === '?') throw new Error(`${name} is not set: ${rest}`)
    return found ?? (kind === '-' ? (rest ?? '') : '')
  })
}

const rule = z.object({
  record: z.string().optional(),
  alert: z.string().optional(),
  expr: z.string(),
  labels: z.record(z.string(), z.string()).optional(),
  annotations: z.record(z.string(), z.string()).optional(),
})

/** Every recording and alert rule. */
export function readRules(): z.output<typeof rule>[] {
  const file = z.object({ groups: z.array(z.object({ name: z.string(), rules: z.array(rule) })) })
  return filesOf('deploy/prometheus/rules').flatMap((path) =>
    file.parse(parse(text(path))).groups.flatMap((group) => group.rules),
  )
}

const dashboard = z.object({
  uid: z.string(),
  title: z.string(),
  panels: z.array(
    z.looseObject({
      id: z.number(),
      title: z.string(),
      datasource: z.object({ uid: z.string() }),
      gridPos: z.object({ x: z.number(), y: z.number(), w: z.number(), h: z.number() }),
      targets: z.array(z.object({ expr: z.string(), legendFormat: z.string() })).min(1),
    }),
  ),
  templating: z.object({ list: z.array(z.object({ name: z.string(), definition: z.string() })) }),
})

/** Every dashboard. */
export function readDashboards(): (z.output<typeof dashboard> & { path: string })[] {
  return filesOf('deploy/grafana/dashboards').map((path) => ({ path, ...dashboard.parse(JSON.parse(text(path))) }))
}
