import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { normalised } from '../embedder.ts'

const dimensions = 256

/**
 * A deterministic embedding for tests: counts of hashed character trigrams, at length 1. It knows nothing of meaning;
 * texts that differ in a few letters lie as close together as a real model puts traps.
 */
export function ngramEmbedding(text: string): Float32Array {
  const vector = new Float32Array(dimensions)
  const padded = `  ${text.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, ' ')}  `
  for (let i = 0; i + 3 <= padded.length; i++) {
    let hash = 2_166_136_261
    for (let j = i; j < i + 3; j++) hash = Math.imul(hash ^ padded.charCodeAt(j), 16_777_619) >>> 0
    vector[hash % dimensions] = (vector[hash % dimensions] ?? 0) + 1
  }
  return normalised(vector)
}

/** Serves `ngramEmbedding` at POST /v1/embeddings as OpenAI's API does. `fail` makes it answer 500. */
export async function startEmbeddings(): Promise<{ url: string; calls: number; fail: boolean; stop(): Promise<void> }> {
  const state = { calls: 0, fail: false }
  const server = createServer(async (req, res) => {
    state.calls++
    let body = ''
    for await (const part of req) body += part
    if (state.fail || req.url !== '/v1/embeddings') return void res.writeHead(500).end()
    const { input } = JSON.parse(body) as { input: string[] }
    const data = input.map((text, index) => ({ object: 'embedding', index, embedding: [...ngramEmbedding(text)] }))
    res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ object: 'list', data }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return Object.assign(state, {
    url: `http://127.0.0.1:${port}`,
    stop: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  })
}
