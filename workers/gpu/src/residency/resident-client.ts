import type { EngineCall, EngineClient, EngineReply, StreamSink } from '../engine/engine-client.ts'
import { type Answer, errorAnswer, type Failure, field } from '../engine/outcome.ts'
import type { ResidentEngine } from './residency-manager.ts'

type Part = ResidentEngine & { client: EngineClient }

// Of what sleeps they would count room that is not there.
const awakeOnly = /cache_config_info|kv_cache_usage_perc/

/**
 * Several engines as one client: each call goes to the engine of its model, and questions are answered for all of them
 * together, so that a worker sees one engine with all their models and the sum of their loads. An engine that does not
 * answer is left out; when none does, a question rejects.
 */
export function makeResidentClient(options: {
  parts: readonly Part[]
  /** Whether a model can take requests now. */
  mayRun: (model: string) => boolean
  /** A request of a model did not reach its engine. */
  onLost: (model: string) => void
}): EngineClient {
  const { mayRun, onLost, parts } = options
  const byModel = new Map(
    parts.flatMap((part) =>
      [part.model, ...part.adapters.map(({ name }) => name)].map((name) => [name, part] as const),
    ),
  )

  async function sent<T extends { kind: string }>(
    call: EngineCall,
    send: (client: EngineClient) => Promise<T | Answer | Failure>,
  ): Promise<T | Answer | Failure> {
    const part = byModel.get(call.model)
    if (!part) return errorAnswer(404, 'model_not_found', `The model '${call.model}' is not served here.`)
    const end = await send(part.client)
    if (end.kind === 'failure' && 'reason' in end && end.reason === 'down') onLost(call.model)
    return end
  }

  async function askAll(path: string, settings: Parameters<EngineClient['ask']>[1]) {
    const asked = await Promise.allSettled(
      parts.map(async (part) => ({ part, reply: await part.client.ask(path, settings) })),
    )
    const answers = asked.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
    if (answers.length > 0) return answers
    throw asked.find((each) => each.status === 'rejected')?.reason ?? new Error('There is no engine.')
  }

  return {
    call: (call) => sent(call, (client) => client.call(call)),
    stream: (call: EngineCall, sink: StreamSink) =>
      sent<{ kind: 'streamed' }>(call, (client) => client.stream(call, sink)),
    async ask(path, settings) {
      if (settings?.body !== undefined) {
        const awake = parts.find(({ model }) => mayRun(model)) ?? parts[0]
        if (!awake) throw new Error('There is no engine.')
        const body = { ...(settings.body as object), model: awake.model }
        return awake.client.ask(path, { ...settings, body })
      }
      const answers = await askAll(path, settings)
      const best = answers.find(({ reply }) => reply.status === 200) ?? answers[0]
      if (!best) throw new Error('There is no engine.')
      if (best.reply.status !== 200) return best.reply
      const text =
        path === '/v1/models' ? modelsOf(answers) : path === '/metrics' ? metricsOf(answers, mayRun) : best.reply.text
      return { ...best.reply, text }
    },
    async stop() {
      await Promise.all(parts.map(({ client }) => client.stop()))
    },
  }
}

/** All models that there are, those that sleep and adapters that are not loaded included. */
function modelsOf(answers: readonly { part: Part; reply: EngineReply }[]): string {
  const data = answers.flatMap(({ part, reply }) => {
    const listed = reply.status === 200 ? field(JSON.parse(reply.text), 'data') : undefined
    if (!Array.isArray(listed)) return []
    const own = listed.find((model: unknown) => field(model, 'id') === part.model)
    return own === undefined
      ? []
      : [own, ...part.adapters.map(({ name, source }) => ({ ...own, id: name, root: source, parent: part.model }))]
  })
  return JSON.stringify({ object: 'list', data })
}

function metricsOf(answers: readonly { part: Part; reply: EngineReply }[], mayRun: (model: string) => boolean): string {
  return answers
    .filter(({ reply }) => reply.status === 200)
    .map(({ part, reply }) =>
      mayRun(part.model)
        ? reply.text
        : reply.text
            .split('\n')
            .filter((line) => !awakeOnly.test(line))
            .join('\n'),
    )
    .join('\n')
}
