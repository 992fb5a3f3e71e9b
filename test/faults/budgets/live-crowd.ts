import { systemClock } from '@forebay/kernel'
import { Agent, request } from 'undici'
import type { SeenUsage } from './books.mjs'

/** What a crowd of clients saw. */
export interface Sightings {
  answered: Map<string, SeenUsage>
  refused: Set<string>
  /** Requests whose connection broke or that the server could not serve: charged or not. */
  broken: number
}

export const outputTokens = 32

/** The body of one request; each is another. */
export function bodyOf(name: string): string {
  return JSON.stringify({
    model: 'forebay-sim',
    max_tokens: outputTokens,
    messages: [{ role: 'user', content: `${name}: which river?` }],
  })
}

/**
 * So many clients at once. Each asks until it has an answer, of another gateway when one is gone, and gives up after
 * some refusals: what is asked anew is a new request.
 */
export async function crowd(options: {
  urls: readonly string[]
  apiKey: string
  clients: number
  /** How often each asks. */
  tries: number
  name: string
  random: () => number
  sightings: Sightings
}): Promise<void> {
  const { apiKey, clients, name, random, sightings, tries, urls } = options
  const agent = new Agent({ connections: clients, pipelining: 1 })
  const ask = async (client: number) => {
    for (let attempt = 0; attempt < tries; attempt++) {
      const url = urls[(client + attempt) % urls.length] ?? ''
      const status = await askOnce({ url, agent, apiKey, body: bodyOf(`${name}-${client}-${attempt}`), sightings })
      if (status === 200) return
      await systemClock.sleep(200 + random() * 600)
    }
  }
  try {
    await Promise.all(Array.from({ length: clients }, (_, client) => ask(client)))
  } finally {
    await agent.destroy()
  }
}

/** One request; its status, 0 when its connection broke. Throws on an answer that no gateway may give. */
export async function askOnce(options: {
  url: string
  agent: Agent
  apiKey: string
  body: string
  sightings: Sightings
}): Promise<number> {
  const { agent, apiKey, body, sightings, url } = options
  let [status, text, id] = [0, '', '']
  try {
    const response = await request(`${url}/v1/chat/completions`, {
      method: 'POST',
      dispatcher: agent,
      headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
      body,
      headersTimeout: 60_000,
    })
    text = await response.body.text()
    status = response.statusCode
    id = String(response.headers['x-request-id'])
  } catch {
    sightings.broken++
    return 0
  }
  if (status === 200) sightings.answered.set(id, JSON.parse(text).usage)
  else if (status === 429 && text.includes('insufficient_quota')) sightings.refused.add(id)
  else if (status >= 500) sightings.broken++
  else throw new Error(`${status}: ${text}`)
  return status
}
