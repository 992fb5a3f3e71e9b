import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { Agent, type Dispatcher } from 'undici'
import type { LoadResult, LoadTask } from './load.ts'
import { bodiesOf, makeRandom } from './workload.ts'

// Started by load.ts; runs one task per message. `closed` is the bare loop that a script would be.
const path = '/v1/chat/completions'

process.on('message', (task: LoadTask) => {
  void run(task).then((result) => process.send?.(result))
})

async function run(task: LoadTask): Promise<LoadResult> {
  const bodies = [...bodiesOf(task.workload)]
  const agent = new Agent({ pipelining: 1, connections: task.kind === 'closed' ? task.concurrency : null })
  const headers = {
    'content-type': 'application/json',
    ...(task.apiKey === undefined ? {} : { authorization: `Bearer ${task.apiKey}` }),
  }
  const result: LoadResult = { ended: [], failed: 0, senderCpu: 0 }
  // Connections and code are warm before the first request counts.
  await Promise.all(
    bodies.slice(0, 1).map((body) => send(agent, { origin: task.url, path, method: 'POST', headers, body })),
  )
  const cpu = process.cpuUsage()
  const startMs = performance.now()
  const one = async (body: string, dueMs: number) => {
    const text = await send(agent, { origin: task.url, path, method: 'POST', headers, body })
    const nowMs = performance.now()
    if (text === undefined) {
      result.failed++
      return
    }
    result.ended.push({ atMs: nowMs - startMs, tookMs: nowMs - dueMs, ...tokensIn(text) })
  }
  if (task.kind === 'closed') {
    let next = 0
    const loop = async () => {
      for (let body = bodies[next++]; body !== undefined; body = bodies[next++]) await one(body, performance.now())
    }
    await Promise.all(Array.from({ length: task.concurrency }, loop))
  } else {
    const random = makeRandom(task.workload.seed)
    const sent: Promise<void>[] = []
    let dueMs = startMs
    for (const body of bodies) {
      dueMs += (-Math.log((random(1e6) + 1) / 1e6) * 1000) / task.ratePerSecond
      const waitMs = dueMs - performance.now()
      if (waitMs >= 1) await sleep(waitMs)
      sent.push(one(body, dueMs))
    }
    await Promise.all(sent)
  }
  const used = process.cpuUsage(cpu)
  result.senderCpu = (used.user + used.system) / 1000 / (performance.now() - startMs)
  await agent.destroy()
  return result
}

async function send(
  agent: Agent,
  options: Dispatcher.RequestOptions & { origin: string },
): Promise<string | undefined> {
  try {
    const { statusCode, body } = await agent.request(options)
    const text = await body.text()
    return statusCode === 200 ? text : undefined
  } catch {
    return undefined
  }
}

// By pattern: parsing every answer would make the sender slower than the script it stands for.
function tokensIn(text: string): { promptTokens: number; completionTokens: number } {
  const of = (name: string) => Number(new RegExp(`"${name}":(\\d+)`).exec(text)?.[1] ?? 0)
  return { promptTokens: of('prompt_tokens'), completionTokens: of('completion_tokens') }
}
