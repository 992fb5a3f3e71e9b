import type { ModelVersions } from '@forebay/rollouts'
import { expect, it } from 'vitest'
import type { BatchRow } from '../batch-row.ts'
import type { PoolView } from '../pools/route-batch.ts'
import { makeTargets } from './targets.ts'

const pool = (name: string, over: Partial<PoolView> = {}): PoolView => ({
  ...{ name, residency: [], models: new Set(['m']), live: true, dead: false, shut: undefined, lost: false },
  ...{ tier: 1, managed: false, spendLeft: undefined, costPerHour: undefined, proximity: 0 },
  ...over,
})
const batch = { id: 'b', model: 'm', models: null, residency: null } as unknown as BatchRow
const canary = new Map<string, ModelVersions>([
  ['m', { stable: null, canary: { version: 'v2', weight: 30, rolloutId: 'r' } }],
])
const routesOf = (pools: PoolView[], rolledOut = canary) => {
  const targets = makeTargets([batch], pools, rolledOut)
  return Array.from({ length: 200 }, (_, index) =>
    targets
      .routeOf({ batchId: 'b', index, model: null })
      ?.pools.map(({ name }) => name)
      .join(),
  )
}

it('a rollout gives its share of the chunks to the pools of the new version, the same in every round', () => {
  const pools = [pool('old'), pool('new', { versions: { m: 'v2' } })]
  const routes = routesOf(pools)
  const share = routes.filter((names) => names === 'new').length
  expect(share).toBeGreaterThan(35)
  expect(share).toBeLessThan(85)
  expect(routes.filter((names) => names === 'old')).toHaveLength(200 - share)
  expect(routesOf(pools)).toEqual(routes)
  expect(new Set(routesOf(pools, new Map()))).toEqual(new Set(['old']))
})

it('chunks of a new version that nobody can run just now go where the others go', () => {
  for (const over of [{ live: false }, { shut: 'is drained' }]) {
    expect(new Set(routesOf([pool('old'), pool('new', { versions: { m: 'v2' }, ...over })]))).toEqual(new Set(['old']))
  }
})

it('after a promotion every chunk goes to the new version, and waits for it by its name', () => {
  const promoted = new Map<string, ModelVersions>([['m', { stable: 'v2', canary: undefined }]])
  expect(new Set(routesOf([pool('old'), pool('new', { versions: { m: 'v2' } })], promoted))).toEqual(new Set(['new']))
  const shut = makeTargets([batch], [pool('old'), pool('new', { versions: { m: 'v2' }, shut: 'is drained' })], promoted)
  expect(shut.waitingFor('b')).toBe("A pool with its version 'v2' that serves the model 'm': new is drained.")
})
