import { readFile } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { loadConfig } from '@forebay/config'
import { silentLogger, systemClock } from '@forebay/kernel'
import { type Cluster, startCluster } from '@forebay/standalone'
import { redisUrl, tempDir, testDatabase } from '@forebay/test-support'
import OpenAI, { toFile } from 'openai'
import { FormData, request } from 'undici'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

/* Files with the official SDK, against the gateway as a process of its own, so that its memory can be watched. */
describe('files', () => {
  let cluster: Cluster
  let openai: OpenAI
  beforeAll(async () => {
    const database = await testDatabase({ migrated: false })
    const env = {
      PATH: process.env['PATH'],
      PORT: '0',
      FOREBAY_DATA_DIR: tempDir(),
      DATABASE_URL: database.url,
      REDIS_URL: `${redisUrl()}/5`,
      FOREBAY_MAX_FILE_BYTES: String(300 * 2 ** 20),
      FOREBAY_LOG_LEVEL: 'fatal',
    }
    const replicas = { gateway: 1, scheduler: 1, results: 1, webhooks: 1, worker: 1 }
    cluster = await startCluster({
      config: loadConfig(env).config,
      clock: systemClock,
      logger: silentLogger,
      env,
      replicas,
      simArgs: ['--profile', 'instant'],
    })
    openai = new OpenAI({ baseURL: `${cluster.urls[0]}/v1`, apiKey: cluster.apiKey, maxRetries: 0 })
  })
  afterAll(() => cluster?.stop())

  it('are listed page by page, retrieved, read back byte for byte, and deleted', async () => {
    const text = '{"custom_id":"é\u2028","x":"🌊"}\n'
    const ids: string[] = []
    for (let i = 0; i < 5; i++)
      ids.push(
        (await openai.files.create({ purpose: 'batch', file: await toFile(Buffer.from(text), `f${i}.jsonl`) })).id,
      )
    const listed: string[] = []
    for await (const file of openai.files.list({ limit: 2, order: 'asc', purpose: 'batch' })) listed.push(file.id)
    expect(listed).toEqual(ids)
    const file = await openai.files.retrieve(ids[0] ?? '')
    expect(file).toMatchObject({
      object: 'file',
      bytes: Buffer.byteLength(text),
      filename: 'f0.jsonl',
      purpose: 'batch',
      status: 'processed',
    })
    expect(await (await openai.files.content(file.id)).text()).toBe(text)
    expect(await openai.files.delete(file.id)).toEqual({ id: file.id, object: 'file', deleted: true })
    await expect(openai.files.retrieve(file.id)).rejects.toMatchObject({ status: 404 })
  })

  it('of 220 MB are taken in and given back in constant memory', { timeout: 120_000 }, async () => {
    const pid = await gatewayPid(cluster)
    const before = await residentMb(pid)
    const line = `${JSON.stringify({ custom_id: 'x', method: 'POST', url: '/v1/chat/completions', body: { pad: 'y'.repeat(1000) } })}\n`
    const block = Buffer.from(line.repeat(1000))
    const blocks = Math.ceil((220 * 2 ** 20) / block.length)
    const { head, tail, contentType } = multipart('big.jsonl')
    const body = Readable.from(
      (function* () {
        yield head
        for (let i = 0; i < blocks; i++) yield block
        yield tail
      })(),
    )
    let peak = 0
    const stopWatching = systemClock.every(50, () => void residentMb(pid).then((mb) => (peak = Math.max(peak, mb))))
    const response = await request(`${cluster.urls[0]}/v1/files`, {
      method: 'POST',
      headers: { authorization: `Bearer ${cluster.apiKey}`, 'content-type': contentType },
      body,
    })
    const file = (await response.body.json()) as { id: string; bytes: number }
    expect(response.statusCode).toBe(200)
    expect(file.bytes).toBe(blocks * block.length)
    let bytes = 0
    const content = await request(`${cluster.urls[0]}/v1/files/${file.id}/content`, {
      headers: { authorization: `Bearer ${cluster.apiKey}` },
    })
    for await (const piece of content.body) bytes += piece.length
    stopWatching()
    expect(bytes).toBe(file.bytes)
    expect(peak - before).toBeLessThan(120)
  })

  it('of no content, no purpose, no file or too many bytes are refused by name', async () => {
    const send = async (fill: (form: FormData) => void) => {
      const form = new FormData()
      fill(form)
      const response = await request(`${cluster.urls[0]}/v1/files`, {
        method: 'POST',
        headers: { authorization: `Bearer ${cluster.apiKey}` },
        body: form,
      })
      return {
        status: response.statusCode,
        ...((await response.body.json()) as { error: { message: string; param: string | null } }),
      }
    }
    const jsonl = () => new Blob(['{"a":1}\n'])
    expect(await send((form) => form.set('purpose', 'batch'))).toMatchObject({ status: 400, error: { param: 'file' } })
    expect(await send((form) => form.set('file', jsonl(), 'a.jsonl'))).toMatchObject({
      status: 400,
      error: { param: 'purpose' },
    })
    const empty = await send((form) => {
      form.set('purpose', 'batch')
      form.set('file', new Blob(['']), 'a.jsonl')
    })
    expect(empty.status).toBe(400)
    const list = await openai.files.list({ limit: 100 })
    expect(list.data.every((file) => file.bytes > 0)).toBe(true)
  })
})

async function gatewayPid(cluster: Cluster): Promise<number> {
  return cluster.supervisor.pid('gateway-0') ?? 0
}

async function residentMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024
}

function multipart(filename: string) {
  const boundary = 'forebay-test-boundary'
  const field = `--${boundary}\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n`
  const file = `--${boundary}\r\ncontent-disposition: form-data; name="file"; filename="${filename}"\r\ncontent-type: application/jsonl\r\n\r\n`
  return {
    head: Buffer.from(field + file),
    tail: Buffer.from(`\r\n--${boundary}--\r\n`),
    contentType: `multipart/form-data; boundary=${boundary}`,
  }
}
