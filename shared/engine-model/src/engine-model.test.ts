import { describe, expect, it } from 'vitest'
import { groupBlockHashes, hashBlocks } from './block-hashes.ts'
import { EngineModel, type EngineModelOptions } from './engine-model.ts'
import { profiles } from './profile.ts'

const profile = profiles.laptop
const makeModel = (options: EngineModelOptions = {}) => new EngineModel(profile, options)
const ids = (sequences: readonly { request: { id: string } }[]) => sequences.map(({ request }) => request.id)

/** Steps until empty; answers the ids in order of finishing. */
function drain(model: EngineModel): string[] {
  const finished: string[] = []
  for (let steps = 0; model.running + model.waiting > 0; steps++) {
    if (steps > 100_000) throw new Error('the model makes no progress')
    finished.push(...ids(model.step().finished))
  }
  return finished
}

describe('EngineModel', () => {
  it('generates each token of a request in one step each, and takes no time when empty', () => {
    const model = makeModel()
    const seq = model.add({ id: 'a', promptTokens: 10, outputTokens: 3 })
    const counts = [1, 2, 3].map(() => {
      expect(model.step().durationMs).toBeGreaterThan(profile.cost.baseMs)
      return seq.generated
    })
    expect(counts).toEqual([1, 2, 3])
    expect([model.running, model.waiting, model.kvUsage]).toEqual([0, 0, 0])
    expect(model.step()).toMatchObject({ durationMs: 0, emitted: [] })
  })

  it('computes no more tokens in a step than its budget, whatever mix of prompts waits', () => {
    const model = makeModel({ maxNumBatchedTokens: 100 })
    for (let i = 0; i < 20; i++) model.add({ id: `r${i}`, promptTokens: 7 + i * 13, outputTokens: 5 + i })
    let prefilled = 0
    let full = 0
    while (model.running + model.waiting > 0) {
      const { prefillTokens, emitted } = model.step()
      prefilled += prefillTokens
      const decodes = emitted.filter(({ generated }) => generated > 1).length
      expect(prefillTokens + decodes).toBeLessThanOrEqual(100)
      if (prefillTokens > 80) full++
    }
    expect(prefilled).toBe(Array.from({ length: 20 }, (_, i) => 7 + i * 13).reduce((a, b) => a + b))
    expect(full).toBeGreaterThan(5)
  })

  it('serves decodes first and gives a long prompt only what the budget leaves', () => {
    const model = makeModel({ maxNumBatchedTokens: 64 })
    for (let i = 0; i < 4; i++) model.add({ id: `d${i}`, promptTokens: 4, outputTokens: 100 })
    model.step()
    const alone = model.step()
    model.add({ id: 'long', promptTokens: 600, outputTokens: 2 })
    const steps = Array.from({ length: 10 }, () => model.step())
    for (const step of steps) {
      expect(step.prefillTokens).toBe(60)
      expect(ids(step.emitted).slice(0, 4)).toEqual(['d0', 'd1', 'd2', 'd3'])
      // Chunked prefill keeps decodes going, and slows them.
      expect(step.durationMs).toBeGreaterThan(alone.durationMs)
    }
    expect(ids(steps[8]?.emitted ?? [])).not.toContain('long')
    expect(ids(steps[9]?.emitted ?? [])).toContain('long')
  })

  it('runs no more sequences at once than it has seats', () => {
    const model = makeModel({ maxNumSeqs: 3 })
    for (let i = 0; i < 8; i++) model.add({ id: `r${i}`, promptTokens: 4, outputTokens: 2 })
    model.step()
    expect([model.running, model.waiting]).toEqual([3, 5])
    expect(drain(model)).toHaveLength(8)
  })

  it('admits a prompt only when all of it fits into free KV', () => {
    const model = makeModel({ numGpuBlocks: 10 })
    model.add({ id: 'big', promptTokens: 112, outputTokens: 3 })
    model.add({ id: 'later', promptTokens: 64, outputTokens: 1 })
    model.step()
    expect(model.kvUsage).toBeCloseTo(0.7)
    expect([model.running, model.waiting]).toEqual([1, 1])
    expect(drain(model)).toEqual(['big', 'later'])
    expect(model.counters.preemptions).toBe(0)
  })

  it('preempts the newest when a running request cannot get KV, and computes it again', () => {
    const model = makeModel({ numGpuBlocks: 8 })
    for (const id of ['a', 'b']) model.add({ id, promptTokens: 48, outputTokens: 40 })
    const preempted: string[] = []
    const finished: string[] = []
    let prefilled = 0
    while (model.running + model.waiting > 0) {
      const step = model.step()
      preempted.push(...ids(step.preempted))
      finished.push(...ids(step.finished))
      prefilled += step.prefillTokens
    }
    expect(preempted).toEqual(['b'])
    expect(finished).toEqual(['a', 'b'])
    expect(model.counters.preemptions).toBe(1)
    expect(prefilled).toBeGreaterThan(96 + 48)
    expect(model.kvUsage).toBe(0)
  })

  it('preempts the least urgent, not the newest, under the priority policy', () => {
    const model = makeModel({ numGpuBlocks: 8, schedulingPolicy: 'priority' })
    model.add({ id: 'batch', promptTokens: 48, outputTokens: 40, priority: 10 })
    model.step()
    model.add({ id: 'live', promptTokens: 48, outputTokens: 40, priority: 0 })
    const preempted: string[] = []
    while (model.running + model.waiting > 0) preempted.push(...ids(model.step().preempted))
    expect(preempted).toEqual(['batch'])
  })

  it.each([
    ['priority', ['first', 'urgent', 'also-urgent', 'early', 'late']],
    ['fcfs', ['first', 'late', 'early', 'urgent', 'also-urgent']],
  ] as const)('orders what waits under %s, and never evicts for a seat', (schedulingPolicy, order) => {
    const model = makeModel({ maxNumSeqs: 1, schedulingPolicy })
    model.add({ id: 'first', promptTokens: 4, outputTokens: 3, priority: 9 })
    model.step()
    const waiting = { late: 5, early: 1, urgent: -1, 'also-urgent': -1 }
    for (const [id, priority] of Object.entries(waiting)) {
      model.add({ id, promptTokens: 4, outputTokens: 2, priority })
    }
    expect(drain(model)).toEqual(order)
    expect(model.counters.preemptions).toBe(0)
  })

  it('frees the seat and the KV of an aborted request at once, running or waiting', () => {
    const model = makeModel({ maxNumSeqs: 1 })
    for (const id of ['a', 'b', 'c']) model.add({ id, promptTokens: 160, outputTokens: 50 })
    model.step()
    expect(model.kvUsage).toBeGreaterThan(0)
    expect(model.abort('a')).toBe(true)
    expect([model.running, model.kvUsage]).toEqual([0, 0])
    expect(model.abort('b')).toBe(true)
    expect(model.abort('b')).toBe(false)
    expect(drain(model)).toEqual(['c'])
  })

  it('refuses what can never fit, and a KV memory too small for the context asked for', () => {
    const model = makeModel({ maxModelLen: 100 })
    expect(() => model.add({ id: 'a', promptTokens: 90, outputTokens: 11 })).toThrow(/limit is 100/)
    model.add({ id: 'b', promptTokens: 90, outputTokens: 10 })
    expect(() => model.add({ id: 'b', promptTokens: 1, outputTokens: 1 })).toThrow(/already/)
    expect(() => makeModel({ numGpuBlocks: 4, maxModelLen: 65 })).toThrow(/Raise numGpuBlocks/)
    expect(makeModel({ numGpuBlocks: 4 }).limits.maxModelLen).toBe(64)
  })
})

describe('prefix cache', () => {
  it('finds full blocks of a shared prefix, never the whole prompt, and takes less time for it', () => {
    const model = makeModel()
    const blockHashes = groupBlockHashes('g', 160, 16)
    const leader = model.add({ id: 'leader', promptTokens: 160, outputTokens: 1, blockHashes })
    const cold = model.step()
    const follower = model.add({ id: 'follower', promptTokens: 160, outputTokens: 1, blockHashes })
    const warm = model.step()
    expect([leader.cachedTokens, follower.cachedTokens]).toEqual([0, 144])
    expect([cold.prefillTokens, warm.prefillTokens]).toEqual([160, 16])
    expect(warm.durationMs).toBeLessThan(cold.durationMs)
    expect(model.counters).toMatchObject({ prefixCacheQueries: 320, prefixCacheHits: 144 })
  })

  it('shares the KV of a common prefix among those that run together', () => {
    const model = makeModel()
    const blockHashes = groupBlockHashes('g', 1600, 16)
    for (let i = 0; i < 5; i++) model.add({ id: `r${i}`, promptTokens: 1610, outputTokens: 9, blockHashes })
    model.step()
    expect(model.running).toBe(5)
    expect(model.kvUsage * model.limits.numGpuBlocks).toBeCloseTo(100 + 5)
    drain(model)
    expect(model.kvUsage).toBe(0)
  })

  it('keeps salts apart', () => {
    const tokens = Array.from({ length: 64 }, (_, i) => i)
    expect(hashBlocks(tokens, 16, 'tenant-a')).toEqual(hashBlocks(tokens, 16, 'tenant-a'))
    const other = new Set(hashBlocks(tokens, 16, 'tenant-b'))
    expect(hashBlocks(tokens, 16, 'tenant-a').some((hash) => other.has(hash))).toBe(false)
  })

  it('gives blocks of equal content but different predecessors different hashes', () => {
    const block = Array.from({ length: 16 }, () => 7)
    const [first, second] = hashBlocks([...block, ...block], 16)
    expect(first).not.toBe(second)
  })

  it('evicts what was unused longest when memory is short, and of a prefix its end first', () => {
    const model = makeModel({ numGpuBlocks: 12 })
    const run = (group: string) => {
      const blockHashes = groupBlockHashes(group, 64, 16)
      const seq = model.add({ id: group, promptTokens: 65, outputTokens: 1, blockHashes })
      drain(model)
      return seq.cachedTokens
    }
    expect([run('a'), run('b'), run('a')]).toEqual([0, 0, 64])
    // a and b hold 8 of the 12 blocks; c needs 5 and takes one of b's, which was used before a.
    expect([run('c'), run('a'), run('b')]).toEqual([0, 64, 48])
  })

  it('never counts more blocks than there are, over thousands of mixed requests', () => {
    const model = makeModel({ numGpuBlocks: 200, maxModelLen: 1000 })
    let added = 0
    let finished = 0
    for (let step = 0; finished < 3000; step++) {
      if (step > 500_000) throw new Error('the model makes no progress')
      for (let i = 0; i < 3 && added < 3000; i++, added++) {
        const blockHashes = groupBlockHashes(`g${added % 7}`, 48 + (added % 5) * 16, 16)
        model.add({ id: `r${added}`, promptTokens: 130 + (added % 90), outputTokens: 1 + (added % 60), blockHashes })
      }
      if (added % 50 === 0 && model.abort(`r${added - 1}`)) finished++
      finished += model.step().finished.length
      expect(model.kvUsage).toBeLessThanOrEqual(1)
    }
    expect(model.kvUsage).toBe(0)
    expect(model.counters.preemptions).toBeGreaterThan(0)
    expect(model.counters.prefixCacheHits).toBeGreaterThan(0)
  })
})
