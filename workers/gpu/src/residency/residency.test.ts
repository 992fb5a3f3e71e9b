import { type EngineSim, type EngineSimOptions, startEngineSim } from '@forebay/engine-sim'
import { eventually } from '@forebay/test-support'
import { afterEach, describe, expect, it } from 'vitest'
import { type Bench, line, makeBench } from '../testing/bench.ts'

const residency = { awakeGb: 40, asleepGb: 2, adapterGb: 4, sleepMs: 5, wakeMs: 20, loadMs: 5 }
const sims: EngineSim[] = []
let bench: Bench | undefined

afterEach(async () => {
  await bench?.stop()
  bench = undefined
  await Promise.all(sims.splice(0).map((sim) => sim.stop()))
})

async function startSim(model: string, options: EngineSimOptions = {}): Promise<EngineSim> {
  const sim = await startEngineSim({ profile: 'instant', models: [model], residency, ...options })
  sims.push(sim)
  return sim
}

const engine = (model: string, { url }: { url: string }, adapters: string[] = []) => ({
  ...{ model, url, awakeGb: 40, asleepGb: 2 },
  adapters: adapters.map((name) => ({ name, source: `/adapters/${name}`, memoryGb: 4 })),
})

const start = async (env: Record<string, string> = {}) => {
  bench = await makeBench({ FOREBAY_MODEL_HOLD_MS: '0', FOREBAY_MODEL_TURN_MS: '300', ...env })
  return bench
}

/** Releases a chunk of each model, some lines each, and waits for all results. */
async function runEach(of: Bench, models: readonly string[], lines = 4) {
  for (const model of models) {
    const all = Array.from({ length: lines }, (_, i) => line(`${model}-${i}`, `Say ${i}.`, { model }))
    await of.release(all, { batchId: `batch_${model}`, model })
  }
  await eventually(async () => of.results.length === lines * models.length, { what: 'all results', timeoutMs: 15_000 })
  return of.results
}

describe('a worker with more models than its memory holds', () => {
  it('wakes each in turn, never passes the budget, never aborts what runs, and answers everything once', async () => {
    const models = ['a', 'b', 'c']
    const all = await Promise.all(models.map((model) => startSim(model, { profile: 'laptop', speed: 20 })))
    for (const sim of all.slice(1)) await fetch(`${sim.url}/sleep`, { method: 'POST' })
    let mostGb = 0
    const watch = setInterval(() => {
      mostGb = Math.max(
        mostGb,
        all.reduce((sum, { memoryGb }) => sum + memoryGb, 0),
      )
    }, 1)
    const of = await start()
    const engines = models.map((model, i) => engine(model, all[i] ?? { url: '' }))
    await of.worker('http://127.0.0.1:9', {}, { budgetGb: 50, engines })
    const results = await runEach(of, models)
    clearInterval(watch)
    expect(results.every(({ outcome }) => outcome === 'succeeded')).toBe(true)
    expect(new Set(results.map(({ customId }) => customId)).size).toBe(12)
    expect(mostGb).toBeLessThanOrEqual(50)
    const text = await of.registry.metrics()
    expect(text).toMatch(/forebay_worker_residency_changes_total\{model="c",change="wake",outcome="done"\} 1/)
    expect(text).not.toContain('reason="aborted"')
  })

  it('announces the models that sleep, so that work for them comes, and wakes one for a live request', async () => {
    const [a, b] = [await startSim('a'), await startSim('b')]
    await fetch(`${b.url}/sleep`, { method: 'POST' })
    const of = await start()
    const told: string[][] = []
    await of.bus.onAnnounce(({ models }) => told.push(models.map(({ asleep, id }) => (asleep ? `(${id})` : id))))
    await of.worker('http://127.0.0.1:9', {}, { budgetGb: 50, engines: [engine('a', a), engine('b', b, ['tax'])] })
    await eventually(async () => told.at(-1)?.join() === 'a,(b),(tax)', { what: 'all models to be announced' })
    await of.ask({ model: 'b', messages: [{ role: 'user', content: 'Now.' }], max_tokens: 2 }, { model: 'b' })
    await eventually(async () => of.frames.some(({ type }) => type === 'end'), { what: 'the answer' })
    expect([a.asleep, b.asleep]).toEqual([true, false])
    await eventually(async () => told.at(-1)?.join() === '(a),b,(tax)', { what: 'what is awake to be announced' })
  })

  it('loads adapters as they are asked for and unloads those that are in the way', async () => {
    const base = await startSim('a')
    const of = await start()
    const engines = [engine('a', base, ['law', 'tax'])]
    await of.worker('http://127.0.0.1:9', {}, { budgetGb: 45, engines })
    const results = await runEach(of, ['law', 'tax', 'a'])
    expect(results.every(({ outcome }) => outcome === 'succeeded')).toBe(true)
    expect(base.memoryGb).toBeLessThanOrEqual(45)
  })

  it('gives the jobs of a model back that cannot be woken, says why, and goes on with the others', async () => {
    const [a, b] = [await startSim('a'), await startSim('b')]
    await fetch(`${b.url}/sleep`, { method: 'POST' })
    b.setLoadsFail(true)
    const of = await start()
    const told: string[][] = []
    await of.bus.onAnnounce(({ models }) => told.push(models.map(({ id }) => id)))
    await of.worker('http://127.0.0.1:9', {}, { budgetGb: 90, engines: [engine('a', a), engine('b', b)] })
    await eventually(async () => told.at(-1)?.join() === 'a,b', { what: 'both to be announced' })
    await of.release([line('b-0', 'Go.', { model: 'b' })], { batchId: 'batch_b', model: 'b' })
    const isBack = async () => of.notes.some(({ batchId, state }) => batchId === 'batch_b' && state === 'returned')
    await eventually(isBack, { what: 'the chunk to be given back' })
    await eventually(async () => told.at(-1)?.join() === 'a', { what: 'b to be left out' })
    expect((await runEach(of, ['a'])).map(({ outcome }) => outcome)).toEqual(Array(4).fill('succeeded'))
    expect(await of.registry.metrics()).toMatch(/changes_total\{model="b",change="wake",outcome="failed"\} 1/)
  })

  it('gives back the work of an engine that dies, while another goes on', async () => {
    const [a, b] = [await startSim('a'), await startSim('b')]
    const of = await start()
    const worker = await of.worker(
      'http://127.0.0.1:9',
      {},
      { budgetGb: 90, engines: [engine('a', a), engine('b', b)] },
    )
    await eventually(async () => worker.trouble() === undefined, { what: 'the worker to be ready' })
    b.crash()
    await of.release([line('b-0', 'Go.', { model: 'b' })], { batchId: 'batch_b', model: 'b' })
    const isBack = async () => of.notes.some(({ batchId, state }) => batchId === 'batch_b' && state === 'returned')
    await eventually(isBack, { what: 'the chunk to be given back' })
    expect((await runEach(of, ['a'])).map(({ outcome }) => outcome)).toEqual(Array(4).fill('succeeded'))
  })
})
