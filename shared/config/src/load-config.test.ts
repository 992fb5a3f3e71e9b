import { describe, expect, it } from 'vitest'
import { describeConfig, loadConfig, required } from './load-config.ts'

describe('loadConfig', () => {
  it('has a default for all that one machine needs', () => {
    const { config, sources } = loadConfig({})
    expect(config.port).toBe(8080)
    expect(config.dataDir).toBe('./.data')
    expect(sources.port).toBe('default')
    expect(sources.databaseUrl).toBe('not set')
  })

  it('reports every fault at once, by the name of its variable', () => {
    const load = () =>
      loadConfig({ PORT: 'eighty', DATABASE_URL: 'mysql://x', FOREBAY_DATADIR: 'x', FOREBAY_CHUNK_REQUESTS: '0' })
    expect(load).toThrow(/4 faults/)
    for (const name of ['PORT', 'DATABASE_URL', 'FOREBAY_DATADIR', 'FOREBAY_CHUNK_REQUESTS'])
      expect(load).toThrow(new RegExp(`${name} `))
  })

  it('treats an empty variable as not set', () => {
    expect(loadConfig({ PORT: '', REDIS_URL: '' }).config).toMatchObject({ port: 8080, redisUrl: undefined })
  })

  it('never shows a key or the password of a URL', () => {
    const rows = describeConfig(
      loadConfig({ FOREBAY_API_KEY: 'fb-0123456789abcdef', DATABASE_URL: 'postgres://me:hunter2@db/x' }),
    )
    const shown = JSON.stringify(rows)
    expect(shown).not.toContain('hunter2')
    expect(shown).not.toContain('0123456789')
    expect(rows.find((row) => row.setting === 'DATABASE_URL')).toMatchObject({
      value: 'postgres://me:…@db/x',
      source: 'environment',
    })
  })

  it('names the setting that a process cannot do without', () => {
    expect(() => required(loadConfig({}).config, 'databaseUrl', 'the gateway')).toThrow(
      /DATABASE_URL is not set, and the gateway needs it/,
    )
  })
})
