import { request } from 'undici'

export interface FoundEngine {
  url: string
  kind: string
  models: string[]
}

/** Where engines listen by default. */
const places = [
  { kind: 'vLLM', url: 'http://127.0.0.1:8000' },
  { kind: 'Ollama', url: 'http://127.0.0.1:11434' },
  { kind: 'llama.cpp', url: 'http://127.0.0.1:8080' },
  { kind: 'LM Studio', url: 'http://127.0.0.1:1234' },
] as const

/**
 * Looks for an OpenAI-compatible engine on this machine's usual ports. A place counts only when its `/v1/models`
 * lists at least one model, and when it is not `notPort`, where Forebay itself is about to listen.
 */
export async function findEngine(options: { notPort: number }): Promise<FoundEngine | undefined> {
  const answers = await Promise.all(
    places.filter((place) => new URL(place.url).port !== String(options.notPort)).map(probe),
  )
  return answers.find((answer) => answer !== undefined)
}

async function probe(place: (typeof places)[number]): Promise<FoundEngine | undefined> {
  const models = await listModels(place.url)
  return models.length > 0 ? { ...place, models } : undefined
}

/** The ids an engine's `/v1/models` lists; none when it does not answer within a second, or is another Forebay. */
export async function listModels(url: string, apiKey?: string): Promise<string[]> {
  try {
    const headers = apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }
    const response = await request(`${url}/v1/models`, { headers, headersTimeout: 1000, bodyTimeout: 1000 })
    const body: unknown = await response.body.json()
    return response.statusCode === 200 && response.headers['x-forebay'] === undefined ? modelIds(body) : []
  } catch {
    return []
  }
}

function modelIds(body: unknown): string[] {
  if (body === null || typeof body !== 'object' || !('data' in body) || !Array.isArray(body.data)) return []
  return body.data.map((model: { id?: unknown }) => model.id).filter((id): id is string => typeof id === 'string')
}
