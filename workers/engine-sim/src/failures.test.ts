import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { commandOf } from '@forebay/launch'
import { eventually, freePort } from '@forebay/test-support'
import { afterEach, describe, expect, it } from 'vitest'
import { makeFailures } from './server/failures.ts'
import type { EngineSimOptions } from './server/settings.ts'
import { type EngineSim, startEngineSim } from './start-engine-sim.ts'

let sims: EngineSim[] = []

afterEach(async () => {
  await Promise.all(sims.map((sim) => sim.stop()))
  sims = []
})

async function start(options: EngineSimOptions = {}): Promise<EngineSim> {
  const sim = await startEngineSim({ speed: 1000, ...options })
  sims.push(sim)
  return sim
}

/** The body as whatever it is: a test reads what it expects and fails when that is not there. */
const bodyOf = async (res: Response | Promise<Response>) => JSON.parse(await (await res).text())

const chat = (sim: { url: string }, content: string, body: object = {}, signal?: AbortSignal) =>
  fetch(`${sim.url}/v1/chat/completions`, {
    method: 'POST',
    body: JSON.stringify({ messages: [{ role: 'user', content }], max_tokens: 20, ...body }),
    ...(signal ? { signal } : {}),
  })

const setFailures = (sim: EngineSim, body: object) =>
  fetch(`${sim.url}/sim/failures`, { method: 'POST', body: JSON.stringify(body) })

describe.each(['laptop', 'instant'] as const)('a failure asked for in the prompt, on %s', (profile) => {
  it('is a status, with Retry-After where one belongs', async () => {
    const sim = await start({ profile })
    const answers = await Promise.all(['500', '503', '429'].map((kind) => chat(sim, `[[sim:${kind}]] hello`)))
    expect(answers.map(({ status }) => status)).toEqual([500, 503, 429])
    expect(answers.map(({ headers }) => headers.get('retry-after'))).toEqual([null, '1', '1'])
    expect((await chat(sim, 'hello')).status).toBe(200)
  })

  it('passes after the number of times it was asked for', async () => {
    const sim = await start({ profile })
    const statuses: number[] = []
    for (let i = 0; i < 4; i++) statuses.push((await chat(sim, '[[sim:500*2]]')).status)
    expect(statuses).toEqual([500, 500, 200, 200])
  })

  it('is an abort inside a 200, with half the text', async () => {
    const sim = await start({ profile })
    const body = await bodyOf(chat(sim, '[[sim:abort]]', { ignore_eos: true }))
    expect(body).toMatchObject({ choices: [{ finish_reason: 'abort' }], usage: { completion_tokens: 10 } })
    const stream = await (await chat(sim, '[[sim:abort]]', { ignore_eos: true, stream: true })).text()
    expect(stream).toMatch(/"finish_reason":"abort".*\n\ndata: \[DONE\]\n\n$/)
  })

  it('is an error chunk inside a 200 stream, or a 500', async () => {
    const sim = await start({ profile })
    expect((await chat(sim, '[[sim:stream-error]]')).status).toBe(500)
    const res = await chat(sim, '[[sim:stream-error]]', { stream: true })
    expect(res.status).toBe(200)
    expect(await res.text()).toMatch(/"content":"[\s\S]*data: \{"error":\{.*"code":500\}\}\n\ndata: \[DONE\]\n\n$/)
  })

  it('is JSON cut short', async () => {
    const sim = await start({ profile })
    const res = await chat(sim, '[[sim:truncate]]')
    expect(res.status).toBe(200)
    await expect(bodyOf(res)).rejects.toThrow(SyntaxError)
    const stream = await (await chat(sim, '[[sim:truncate]]', { stream: true })).text()
    expect(stream).not.toMatch(/\n\n$/)
  })

  it.each([true, false])('is a connection reset (stream: %s)', async (stream) => {
    const sim = await start({ profile })
    await expect(chat(sim, '[[sim:reset]]', { stream }).then((res) => res.text())).rejects.toThrow()
    expect((await chat(sim, 'hello')).status).toBe(200)
  })

  it('is silence before the headers', async () => {
    const sim = await start({ profile })
    const leave = new AbortController()
    const hung = chat(sim, '[[sim:hang]]', {}, leave.signal).then(
      () => 'answered',
      () => 'left',
    )
    expect((await chat(sim, 'hello')).status).toBe(200)
    leave.abort()
    expect(await hung).toBe('left')
  })

  it('is a stream that stops half-way and stays open', async () => {
    const sim = await start({ profile })
    const leave = new AbortController()
    const res = await chat(sim, '[[sim:hang-stream]]', { stream: true, ignore_eos: true }, leave.signal)
    let text = ''
    const ended = (async () => {
      for await (const part of res.body ?? []) text += Buffer.from(part).toString()
      return 'ended'
    })().catch(() => 'left')
    await eventually(() => text.split('\n\n').length === 1 + 10 + 1, { what: 'half the stream' })
    expect((await chat(sim, 'hello')).status).toBe(200)
    expect(text.split('\n\n')).toHaveLength(12)
    leave.abort()
    expect(await ended).toBe('left')
  })

  it('is a wedged engine that still looks healthy, until it is freed', async () => {
    const sim = await start({ profile })
    const wedged = chat(sim, '[[sim:wedge]]')
    await eventually(() => sim.waiting + sim.running === 1, { what: 'the request to be in the engine' })
    const behind = chat(sim, 'hello')
    await eventually(() => sim.waiting + sim.running === 2, { what: 'the next to be in the engine' })
    expect((await fetch(`${sim.url}/health`)).status).toBe(200)
    expect(sim.log.toJSON()).toMatchObject({ finished: 0 })
    expect(await bodyOf(setFailures(sim, { now: 'unwedge' }))).toMatchObject({ wedged: false })
    expect((await Promise.all([wedged, behind])).map(({ status }) => status)).toEqual([200, 200])
  })

  it('is a crash that cuts every connection and closes the port', async () => {
    const sim = await start({ profile })
    await expect(chat(sim, '[[sim:crash]]')).rejects.toThrow()
    await expect(fetch(`${sim.url}/health`)).rejects.toThrow()
  })
})

describe('failure rates', () => {
  it('fail the same requests for the same seed, about as many as asked', () => {
    const draw = (seed: number) => {
      const failures = makeFailures({ seed, rates: { '500': 0.2, reset: 0.1 } })
      return Array.from({ length: 2000 }, () => failures.choose('hello'))
    }
    expect(draw(1)).toEqual(draw(1))
    expect(draw(2)).not.toEqual(draw(1))
    const share = (kind: string | undefined) => draw(1).filter((each) => each === kind).length / 2000
    expect(share('500')).toBeCloseTo(0.2, 1)
    expect(share('reset')).toBeCloseTo(0.1, 1)
    expect(share(undefined)).toBeCloseTo(0.7, 1)
  })

  it('can be changed while it runs, and are refused when they make no sense', async () => {
    const sim = await start({ profile: 'instant', failures: { '500': 1 } })
    expect((await chat(sim, 'hello')).status).toBe(500)
    await setFailures(sim, { '503': 1, retryAfterS: 7 })
    const refused = await chat(sim, 'hello')
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '7'])
    expect((await setFailures(sim, { '500': 2 })).status).toBe(400)
    expect((await setFailures(sim, { nonsense: 1 })).status).toBe(400)
    await setFailures(sim, {})
    expect((await chat(sim, 'hello')).status).toBe(200)
  })
})

describe('the command', () => {
  const { args: words, command } = commandOf('workers/engine-sim/src/main.ts')
  const run = (...args: string[]) => spawn(command, [...words, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })

  it('exits 1 when it crashes, and 0 on SIGTERM after ending what runs as abort', async () => {
    const ports = [await freePort(), await freePort()]
    const children = ports.map((port) => run('--port', String(port)))
    try {
      const exits = children.map((child) => once(child, 'exit'))
      const [crashing, stopping] = ports.map((port) => ({ url: `http://127.0.0.1:${port}` }))
      if (!crashing || !stopping) throw new Error('two ports were asked for')
      for (const { url } of [crashing, stopping]) {
        await eventually(async () => (await fetch(`${url}/health`)).ok, { what: 'the command to listen' })
      }
      await expect(chat(crashing, '[[sim:crash]]')).rejects.toThrow()
      expect((await exits[0])?.[0]).toBe(1)
      const answer = chat(stopping, 'hello', { max_tokens: 5000, ignore_eos: true }).then((res) => bodyOf(res))
      await eventually(async () => (await bodyOf(fetch(`${stopping.url}/load`))).server_load === 1, {
        what: 'the request to run',
      })
      children[1]?.kill('SIGTERM')
      expect((await answer).choices[0].finish_reason).toBe('abort')
      expect((await exits[1])?.[0]).toBe(0)
    } finally {
      for (const child of children) child.kill('SIGKILL')
    }
  })

  it('explains itself with examples', async () => {
    const child = run('--help')
    let text = ''
    child.stdout.on('data', (part) => {
      text += part
    })
    await once(child, 'close')
    expect(text).toMatch(/--scheduling-policy/)
    expect(text).toMatch(/\[\[sim:500\*2\]\]/)
  })
})
