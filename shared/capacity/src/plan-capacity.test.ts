import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { findGpu, findModel, loadCatalogue } from './catalogue.ts'
import { engineMemory } from './engine-memory.ts'
import { type CapacityQuestion, planCapacity } from './plan-capacity.ts'
import { replicaSpeed } from './replica-speed.ts'

const catalogue = await loadCatalogue()
const model = findModel(catalogue, 'llama-3.1-8b')
const question: CapacityQuestion = {
  ...{ model, precision: 'fp16', gpus: catalogue.gpus, tensorParallel: [1, 2, 4] },
  ...{ contextTokens: 4_096, requestsPerDay: 100_000, inputTokens: 500, outputTokens: 200, peakFactor: 2 },
}

describe('an engine', () => {
  it('is estimated within 15 % of what was measured of Llama-3.1-8B on an H100', () => {
    const gpu = findGpu(catalogue, 'h100')
    const measured = [
      [8, 4.2],
      [32, 14.7],
      [64, 24.1],
      [128, 35.8],
      [192, 40.4],
      [256, 44.3],
    ] as const
    for (const [inFlight, requests] of measured) {
      const load = { inFlight, inputTokens: 256, outputTokens: 256 }
      const { requestsPerSecond } = replicaSpeed({ model, precision: 'fp16', gpu, gpus: 1, ...load })
      expect(Math.abs(requestsPerSecond / requests - 1), `${inFlight} in flight`).toBeLessThan(0.15)
    }
  })

  it('has the KV cache of as many requests as their length leaves room for', () => {
    const at = (contextTokens: number) =>
      engineMemory({ model, precision: 'fp16', gpu: findGpu(catalogue, 'A100-80GB'), gpus: 1, contextTokens })
    // 2 x 32 layers x 8 heads x 128 x 2 bytes = 128 KiB a token.
    expect(at(1_000).kvPerRequestGb).toBeCloseTo(0.131072, 9)
    expect(at(1_000).requestsMax).toBe(Math.floor((72 - 16.06 - 1.5) / 0.131072))
    expect(at(131_072).requestsMax).toBe(3)
  })
})

describe('a plan', () => {
  it('chooses the cheapest option that meets everything, and puts what misses something behind', () => {
    const { chosen, options } = planCapacity({ ...question, ttftMs: 200, interTokenMs: 100 })
    const met = options.filter(({ misses }) => misses.length === 0)
    expect(chosen).toBe(options[0])
    expect(met.length).toBeGreaterThan(3)
    for (const { monthlyCost } of met) {
      if (monthlyCost !== null) expect(monthlyCost).toBeGreaterThanOrEqual(chosen?.monthlyCost ?? Infinity)
    }
    expect(options.slice(met.length).every(({ misses }) => misses.length > 0)).toBe(true)
  })

  it('has room for the peak and for the requests at once', () => {
    const { options, peakRequestsPerSecond } = planCapacity({ ...question, concurrency: 3_000 })
    for (const { replicas, speed } of options) {
      if (!speed || replicas === null) continue
      expect(replicas * speed.requestsPerSecond).toBeGreaterThan(peakRequestsPerSecond)
      expect(replicas * speed.inFlight).toBeGreaterThanOrEqual(3_000)
    }
  })

  it('says with the numbers why a model does not fit, a budget does not do or an objective is missed', () => {
    const large = { ...question, model: findModel(catalogue, 'llama-3.1-70b') }
    const t4 = planCapacity({ ...large, gpus: [findGpu(catalogue, 'T4')], tensorParallel: [1] })
    expect(t4.chosen).toBeNull()
    expect(t4.options[0]?.misses).toEqual([
      'does not fit: weights, runtime and one request need 143.9 GB, 1 x T4 give 14.4 GB',
    ])
    const poor = planCapacity({ ...question, gpus: [findGpu(catalogue, 'H100')], budgetPerMonth: 100, ttftMs: 1 })
    expect(poor.options[0]?.misses.join('; ')).toMatch(/^first token \d+ ms, wanted 1 ms; 6120 a month, budget 100$/)
    const unpriced = planCapacity({ ...question, gpus: [findGpu(catalogue, 'L4')], budgetPerMonth: 1e6 })
    expect(unpriced.options[0]?.misses).toEqual(['no price in the catalogue'])
  })

  it('takes what was measured in place of the estimate', () => {
    const gpus = [findGpu(catalogue, 'H100')]
    const one = { ...question, gpus, tensorParallel: [1], peakFactor: 1 }
    const measured = { tokensPerSecond: 350, ttftMs: 90 }
    const [option] = planCapacity({ ...one, measured }).options
    // 100 000 requests a day are 1.157 a second; a replica serves 350 / 700 = 0.5, and is planned to be 80 % full.
    expect(option).toMatchObject({ replicas: 3, speed: { ttftMs: 90, requestsPerSecond: 0.5, measured: true } })
  })

  it('refuses a request that is longer than its context, or a context that the model has not', () => {
    expect(() => planCapacity({ ...question, contextTokens: 600 })).toThrow(/500 \+ 200 = 700 tokens is longer/)
    expect(() => planCapacity({ ...question, contextTokens: 200_000 })).toThrow(/131072 tokens; 200000 were asked/)
  })
})

describe('a catalogue', () => {
  const write = async (text: string) => {
    const file = join(await mkdtemp(join(tmpdir(), 'forebay-')), 'own.yaml')
    await writeFile(file, text)
    return file
  }

  it('of the user goes before ours, by name', async () => {
    const own = `date: '2027-01-01'\ncurrency: USD\ngpus:\n  - { name: t4, memoryGb: 16, bandwidthGbPerSecond: 320, teraflops: 65, costPerHour: 0.1 }\n`
    const merged = await loadCatalogue(await write(own))
    expect(findGpu(merged, 'T4').costPerHour).toBe(0.1)
    expect(findGpu(merged, 'H100').costPerHour).toBe(8.5)
    expect(merged.gpus).toHaveLength(catalogue.gpus.length)
    const euros = await loadCatalogue(await write(own.replace('USD', 'EUR')))
    expect(findGpu(euros, 'H100').costPerHour).toBeNull()
  })

  it('with faults is refused with all of them, and an unknown name with those there are', async () => {
    const file = await write('date: x\ncurrency: dollars\ngpus:\n  - { name: a, memoryGb: -1 }\n')
    await expect(loadCatalogue(file)).rejects.toThrow(/currency: .*gpus\.0\.memoryGb: .*gpus\.0\.costPerHour/)
    await expect(loadCatalogue(`${file}.none`)).rejects.toThrow(/cannot be read/)
    expect(() => findGpu(catalogue, 'B42')).toThrow(/no GPU 'B42'.*T4, A10G/)
  })
})
