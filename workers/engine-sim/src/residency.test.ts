import { systemClock } from '@forebay/kernel'
import { eventually } from '@forebay/test-support'
import { afterEach, describe, expect, it } from 'vitest'
import type { EngineSimOptions } from './server/settings.ts'
import { type EngineSim, startEngineSim } from './start-engine-sim.ts'

const running: EngineSim[] = []

afterEach(async () => {
  await Promise.all(running.splice(0).map((sim) => sim.stop()))
})

async function start(options: EngineSimOptions = {}): Promise<EngineSim> {
  const residency = { awakeGb: 20, asleepGb: 2, adapterGb: 1, adaptersMax: 1, sleepMs: 5, wakeMs: 10, loadMs: 5 }
  const sim = await startEngineSim({ profile: 'instant', residency, ...options })
  running.push(sim)
  return sim
}

const post = (sim: EngineSim, path: string, body: object = {}) =>
  fetch(sim.url + path, { method: 'POST', body: JSON.stringify(body) })
const chat = (sim: EngineSim, model = 'forebay-sim', more: object = {}) =>
  post(sim, '/v1/chat/completions', { model, messages: [{ role: 'user', content: 'Go on.' }], max_tokens: 2, ...more })

describe('sleeping and waking', () => {
  it('gives its memory back while it sleeps, refuses work, and works again once woken', async () => {
    const sim = await start()
    expect(sim.memoryGb).toBe(20)
    expect((await post(sim, '/sleep?level=1')).status).toBe(200)
    expect(await (await fetch(`${sim.url}/is_sleeping`)).json()).toEqual({ is_sleeping: true })
    expect(sim.memoryGb).toBe(2)
    expect((await chat(sim)).status).toBe(503)
    expect(await (await fetch(`${sim.url}/metrics`)).text()).toMatch(/engine_sleep_state\{[^}]*"awake"\} 0/)
    expect((await post(sim, '/wake_up')).status).toBe(200)
    expect([sim.memoryGb, (await chat(sim)).status]).toEqual([20, 200])
  })

  it('takes its memory and refuses work for as long as waking takes; a failed wake leaves it asleep', async () => {
    const times: (() => void)[] = []
    const sim = await start({ clock: { ...systemClock, sleep: () => new Promise((resolve) => times.push(resolve)) } })
    const change = async (path: string) => {
      const done = post(sim, path)
      await eventually(async () => times.length === 1, { what: 'the change to begin' })
      return { done, end: () => times.shift()?.() }
    }
    const end = async (path: string) => {
      const { done, end } = await change(path)
      end()
      return (await done).status
    }
    expect(await end('/sleep')).toBe(200)
    sim.setLoadsFail(true)
    expect(await end('/wake_up')).toBe(500)
    expect([sim.asleep, sim.memoryGb]).toEqual([true, 2])
    sim.setLoadsFail(false)
    const woken = await change('/wake_up')
    expect([sim.asleep, sim.memoryGb, (await chat(sim)).status]).toEqual([true, 20, 503])
    woken.end()
    await woken.done
    expect((await chat(sim)).status).toBe(200)
  })

  it('ends what runs as aborted when it is told to sleep', async () => {
    const sim = await start({ profile: 'laptop' })
    const answer = chat(sim, 'forebay-sim', { max_tokens: 2_000, ignore_eos: true })
    while (sim.running === 0) await new Promise((resolve) => setImmediate(resolve))
    await post(sim, '/sleep')
    expect(await (await answer).json()).toMatchObject({ choices: [{ finish_reason: 'abort' }] })
  })
})

describe('adapters', () => {
  it('serves one while it is loaded, counts its memory, and takes no more than it has room for', async () => {
    const sim = await start()
    expect((await chat(sim, 'legal')).status).toBe(404)
    const load = (name: string) =>
      post(sim, '/v1/load_lora_adapter', { lora_name: name, lora_path: `/adapters/${name}` })
    expect([(await load('legal')).status, (await load('legal')).status, (await load('more')).status]).toEqual([
      200, 400, 400,
    ])
    expect([(await chat(sim, 'legal')).status, sim.memoryGb]).toEqual([200, 21])
    const { data } = JSON.parse(await (await fetch(`${sim.url}/v1/models`)).text())
    expect(data[1]).toMatchObject({ id: 'legal', parent: 'forebay-sim' })
    const unload = () => post(sim, '/v1/unload_lora_adapter', { lora_name: 'legal' })
    expect([(await unload()).status, (await unload()).status, sim.memoryGb]).toEqual([200, 404, 20])
    expect((await chat(sim, 'legal')).status).toBe(404)
  })
})
