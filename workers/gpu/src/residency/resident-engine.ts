import { ForebayError } from '@forebay/kernel'
import type { EngineClient } from '../engine/engine-client.ts'
import { field } from '../engine/outcome.ts'

// Weights come over the bus in seconds; from a cold disk cache it may be minutes.
const changeMs = 180_000

/** How an engine was found. */
export interface EngineFound {
  readonly asleep: boolean
  readonly models: readonly string[]
}

/**
 * Asks how an engine is. Throws `unavailable` when it does not answer, and says what to start it with when it cannot
 * sleep.
 */
export async function findResident(client: Pick<EngineClient, 'ask'>): Promise<EngineFound> {
  const sleeping = await asking(client, '/is_sleeping')
  if (sleeping.status === 404) {
    throw new ForebayError(
      'unavailable',
      'The engine has no /is_sleeping: start vLLM with VLLM_SERVER_DEV_MODE=1 and --enable-sleep-mode.',
    )
  }
  const asleep = sleeping.status === 200 ? field(JSON.parse(sleeping.text), 'is_sleeping') : undefined
  if (typeof asleep !== 'boolean') throw refused('/is_sleeping', sleeping)
  const listed = await asking(client, '/v1/models')
  const data = listed.status === 200 ? field(JSON.parse(listed.text), 'data') : undefined
  if (!Array.isArray(data)) throw refused('/v1/models', listed)
  return { asleep, models: data.map((model: unknown) => String(field(model, 'id'))) }
}

/** Puts it to sleep at level 1. Nothing must be in flight: it would be aborted. Throws `unavailable` when it refuses. */
export async function putToSleep(client: Pick<EngineClient, 'ask'>): Promise<void> {
  await change(client, '/sleep?level=1', {})
}

/** Wakes it; throws `unavailable` when it says so or still sleeps. */
export async function wakeUp(client: Pick<EngineClient, 'ask'>): Promise<void> {
  await change(client, '/wake_up', {})
  if ((await findResident(client)).asleep) throw new ForebayError('unavailable', 'It still sleeps after /wake_up.')
}

/** Loads an adapter; one that is there already is taken as it is. Throws `unavailable` when it is refused. */
export async function loadAdapter(client: Pick<EngineClient, 'ask'>, name: string, source: string): Promise<void> {
  try {
    await change(client, '/v1/load_lora_adapter', { lora_name: name, lora_path: source })
  } catch (err) {
    const { models } = await findResident(client)
    if (!models.includes(name)) throw err
  }
}

/** Unloads an adapter; one that is not there is gone. Throws `unavailable` when it is refused. */
export async function unloadAdapter(client: Pick<EngineClient, 'ask'>, name: string): Promise<void> {
  try {
    await change(client, '/v1/unload_lora_adapter', { lora_name: name })
  } catch (err) {
    const { models } = await findResident(client)
    if (models.includes(name)) throw err
  }
}

async function change(client: Pick<EngineClient, 'ask'>, path: string, body: object): Promise<void> {
  const reply = await asking(client, path, { body, timeoutMs: changeMs })
  if (reply.status >= 300) throw refused(path, reply)
}

type Reply = Awaited<ReturnType<EngineClient['ask']>>

async function asking(client: Pick<EngineClient, 'ask'>, path: string, options?: { body: object; timeoutMs: number }) {
  try {
    return await client.ask(path, options)
  } catch (cause) {
    throw new ForebayError('unavailable', `It does not answer ${path}.`, { cause })
  }
}

function refused(path: string, { status, text }: Reply): ForebayError {
  return new ForebayError('unavailable', `It answered ${path} with status ${status}: ${text.slice(0, 200)}`)
}
