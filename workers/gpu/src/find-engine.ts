import { type Clock, ForebayError } from '@forebay/kernel'
import { detectEngine, type EngineProfile } from './engine/detect-engine.ts'
import { openEngineClient } from './engine/engine-client.ts'

/** Where the usual model servers listen: vLLM, Ollama, llama.cpp, LM Studio, SGLang. */
export const usualEngineUrls = [8000, 11434, 8080, 1234, 30000].map((port) => `http://127.0.0.1:${port}`)

/** The first of `urls` where an engine answers with at least one model; undefined when there is none. */
export async function findEngine(options: {
  clock: Clock
  urls?: readonly string[]
}): Promise<{ url: string; profile: EngineProfile } | undefined> {
  const found = await Promise.all(
    (options.urls ?? usualEngineUrls).map(async (url) => {
      const client = openEngineClient({ url, connections: 1, idleMs: 1_000, clock: options.clock })
      try {
        const profile = await detectEngine(client)
        return profile.models.length > 0 ? { url, profile } : undefined
      } catch {
        return undefined
      } finally {
        await client.stop()
      }
    }),
  )
  return found.find((engine) => engine !== undefined)
}

/** The engine that FOREBAY_ENGINE_URL names, else one found on this machine. Throws `config_invalid` when there is none. */
export async function chooseEngineUrl(options: { clock: Clock; engineUrl: string | undefined }): Promise<string> {
  const url = options.engineUrl ?? (await findEngine({ clock: options.clock }))?.url
  if (url !== undefined) return url
  throw new ForebayError(
    'config_invalid',
    `No engine answers on this machine (looked at ${usualEngineUrls.join(', ')}): start one, or set FOREBAY_ENGINE_URL.`,
  )
}
