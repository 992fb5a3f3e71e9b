import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { loadConfig, settings } from '@forebay/config'
import { parsePools } from '@forebay/pools'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import { filesOf, root, text } from './files.ts'

/* The chart against the code; no helm runs here. When one fails, a setting or a script was renamed: mend the chart. */
const folder = 'deploy/helm/forebay'
const templates = filesOf(`${folder}/templates`).map(text).join('\n')
const values = z
  .looseObject({
    env: z.record(z.string(), z.string()),
    pools: z.array(
      z.looseObject({ config: z.record(z.string(), z.unknown()), scaling: z.looseObject({ by: z.string() }) }),
    ),
    scaling: z.looseObject({
      behavior: z.record(
        z.string(),
        z.looseObject({ stabilizationWindowSeconds: z.number(), policies: z.array(z.unknown()) }),
      ),
    }),
  })
  .parse(parse(text(`${folder}/values.yaml`)))
const known = new Set<string>(Object.values(settings).map(({ env }) => env))

describe('the Helm chart', () => {
  it('names only what are settings, to values that they take', () => {
    const named = [...templates.matchAll(/name: ([A-Z][A-Z_]+), value: (?:"([^"{]*)")?/g)]
    expect(named.length).toBeGreaterThan(5)
    expect(named.map(([, name = '']) => name).filter((name) => !known.has(name))).toEqual([])
    const given = Object.fromEntries(named.map(([, name = '', value = '']) => [name, value]))
    expect(() => loadConfig({ ...given, ...values.env })).not.toThrow()
  })

  it('starts processes that are there', () => {
    const processes = /list ((?:"\w+" ?)+)/.exec(templates)?.[1]?.match(/\w+/g) ?? []
    expect(processes).toEqual(['gateway', 'scheduler', 'results', 'webhooks', 'autoscaler'])
    const scripts = [
      ...processes.map((name) => `services/${name}/src/main.ts`),
      'workers/gpu/src/main.ts',
      'cli/bin/forebay.js',
    ]
    for (const script of scripts) expect(existsSync(join(root, script)), script).toBe(true)
    for (const name of processes) expect(values).toHaveProperty(name)
  })

  it('hands the pools over as their file takes them', () => {
    const file = JSON.stringify({ pools: values.pools.map(({ config }) => config) })
    expect(parsePools({ text: file, file: 'values.yaml', env: { QUEUE_URL: 'redis://r:6379' } })).toHaveLength(
      values.pools.length,
    )
  })

  it('scales in the ways that KEDA has, at the pace of the documents', () => {
    for (const type of ['metrics-api', 'external-push', 'prometheus']) expect(templates).toContain(`type: ${type}`)
    expect(templates).toContain(
      'url: "http://{{ $root.Release.Name }}-autoscaler:8080/pools/{{ $pool.config.name }}/scale"',
    )
    expect(templates).toContain('forebay_scale_desired_replicas')
    expect(values.scaling.behavior).toEqual({
      scaleUp: { stabilizationWindowSeconds: 60, policies: [{ type: 'Percent', value: 100, periodSeconds: 30 }] },
      scaleDown: { stabilizationWindowSeconds: 300, policies: [{ type: 'Percent', value: 50, periodSeconds: 60 }] },
    })
  })
})
