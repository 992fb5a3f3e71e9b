import { describe, expect, test } from 'vitest'
import { type BatchShare, chooseReleases, type TenantShare, type Window } from './choose-releases.ts'

const tenant = (id: string, more: Partial<TenantShare> = {}): TenantShare => ({
  id,
  weight: 1,
  virtualTokens: 0,
  outstandingTokens: 0,
  ...more,
})
const batch = (id: string, tenantId: string, chunks: number, more: Partial<BatchShare> = {}): BatchShare => ({
  id,
  tenantId,
  virtualTokens: 0,
  outstandingTokens: 0,
  remainingTokens: chunks * 100,
  expiresAtMs: 86_400_000,
  chunks: Array.from({ length: chunks }, (_, index) => ({ index, estTokens: 100, charged: false })),
  ...more,
})
const room = (chunksMin: number, more: Partial<Window> = {}): Window => ({
  chunks: 0,
  chunksMin,
  tokens: 0,
  tokensMax: 0,
  ...more,
})
const choose = (
  tenants: TenantShare[],
  batches: BatchShare[],
  more: Partial<Parameters<typeof chooseReleases>[0]> = {},
) =>
  chooseReleases({
    tenants,
    batches,
    window: room(8),
    picksMax: 64,
    nowMs: 0,
    tokensPerSecond: 0,
    turn: 0,
    ...more,
  })
const counts = (picks: { batchId: string }[]) =>
  Object.fromEntries(
    [...new Set(picks.map((p) => p.batchId))].sort().map((id) => [id, picks.filter((p) => p.batchId === id).length]),
  )

describe('chooseReleases', () => {
  test('a batch is released in the order of its chunks, to the end of the window', () => {
    const { picks } = choose([tenant('t')], [batch('b', 't', 20)], { window: room(4, { chunks: 1 }) })
    expect(picks.map((pick) => pick.index)).toEqual([0, 1, 2])
  })

  test('the window stays open while either bound has room', () => {
    const { picks } = choose([tenant('t')], [batch('b', 't', 20)], { window: room(2, { tokens: 0, tokensMax: 450 }) })
    expect(picks).toHaveLength(5)
    const full = room(2, { chunks: 2, tokens: 450, tokensMax: 450 })
    expect(choose([tenant('t')], [batch('b', 't', 20)], { window: full }).picks).toEqual([])
  })

  test('tenants share by weight', () => {
    const { picks, tenants } = choose(
      [tenant('a'), tenant('b', { weight: 3 })],
      [batch('x', 'a', 50), batch('y', 'b', 50)],
      { window: room(40) },
    )
    expect(counts(picks)).toEqual({ x: 10, y: 30 })
    expect(Math.abs((tenants.get('a') ?? 0) - (tenants.get('b') ?? 0))).toBeLessThanOrEqual(100)
  })

  test('a new ten-line batch goes before the next chunk of a million-line one, of its own tenant or another', () => {
    const busy = { virtualTokens: 9_000_000, outstandingTokens: 50_000 }
    const own = choose([tenant('t', busy)], [batch('big', 't', 99, busy), batch('small', 't', 1)])
    expect(own.picks[0]).toEqual({ batchId: 'small', index: 0 })
    const other = choose([tenant('t', busy), tenant('u')], [batch('big', 't', 99, busy), batch('small', 'u', 1)])
    expect(other.picks[0]).toEqual({ batchId: 'small', index: 0 })
  })

  test('idling saves nothing up: who becomes active is lifted to the least of the active', () => {
    const { picks, tenants } = choose(
      [tenant('old', { virtualTokens: 5000, outstandingTokens: 100 }), tenant('new')],
      [batch('x', 'old', 50, { outstandingTokens: 100 }), batch('y', 'new', 50)],
      { window: room(20) },
    )
    expect(counts(picks)).toEqual({ x: 10, y: 10 })
    expect(tenants.get('new')).toBe(6000)
  })

  test('within a tenant a batch that is running late goes first, but not always', () => {
    const { picks } = choose(
      [tenant('t')],
      [batch('calm', 't', 50), batch('late', 't', 50, { expiresAtMs: 1000, virtualTokens: 900 })],
      { window: room(16), tokensPerSecond: 10 },
    )
    expect(picks[0]?.batchId).toBe('late')
    expect(counts(picks)).toEqual({ calm: 4, late: 12 })
  })

  test('of two late batches the one that ends earlier goes first', () => {
    const { picks } = choose(
      [tenant('t')],
      [batch('a', 't', 9, { expiresAtMs: 2000 }), batch('b', 't', 9, { expiresAtMs: 1000 })],
      { window: room(3), tokensPerSecond: 1 },
    )
    expect(counts(picks)).toEqual({ b: 3 })
  })

  test('a chunk released before costs nothing more', () => {
    const again = batch('b', 't', 2, { chunks: [{ index: 0, estTokens: 100, charged: true }] })
    expect(choose([tenant('t', { virtualTokens: 7 })], [again]).tenants.get('t')).toBe(7)
  })
})
