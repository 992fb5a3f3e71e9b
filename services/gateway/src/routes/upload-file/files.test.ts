import { readdir } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { join } from 'node:path'
import { eventually } from '@forebay/test-support'
import OpenAI, { toFile } from 'openai'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Harness, startHarness } from '../../testing/harness.ts'

let harness: Harness
beforeAll(async () => {
  harness = await startHarness({ config: { maxFileBytes: 64 * 1024 * 1024 } })
})
afterAll(() => harness.stop())

const line = (id: number) => `{"custom_id":"r${id}","method":"POST","url":"/v1/chat/completions","body":{}}\n`

async function filesOnDisk(): Promise<string[]> {
  const names = await readdir(harness.blobRoot, { recursive: true, withFileTypes: true })
  return names.filter((entry) => entry.isFile()).map((entry) => entry.name)
}

async function status(promise: Promise<unknown>): Promise<number | undefined> {
  return promise.then(
    () => 200,
    (err: unknown) => (err instanceof OpenAI.APIError ? err.status : -1),
  )
}

describe('files through the official SDK', () => {
  it('uploads, retrieves, downloads and deletes, and nothing is left of a deleted file', async () => {
    const client = await harness.sdk('files-life')
    const content = line(1) + line(2)
    const file = await client.files.create({ file: await toFile(Buffer.from(content), 'ü in.jsonl'), purpose: 'batch' })
    expect(file).toMatchObject({ object: 'file', bytes: content.length, filename: 'ü in.jsonl', purpose: 'batch' })
    expect(file.expires_at).toBe(file.created_at + 30 * 86_400)
    expect(await client.files.retrieve(file.id)).toEqual(file)
    expect(await (await client.files.content(file.id)).text()).toBe(content)
    expect(await client.files.delete(file.id)).toEqual({ id: file.id, object: 'file', deleted: true })
    expect(await status(client.files.retrieve(file.id))).toBe(404)
    expect(await filesOnDisk()).not.toContain(file.id)
  })

  it('lists every file once over pages, in either order, also when each is deleted on the way', async () => {
    const client = await harness.sdk('files-pages')
    const ids: string[] = []
    for (let i = 0; i < 7; i++) {
      const purpose = i === 3 ? 'user_data' : 'batch'
      ids.push((await client.files.create({ file: await toFile(Buffer.from(line(i)), 'a.jsonl'), purpose })).id)
    }
    const seen = async (order: 'asc' | 'desc') => {
      const found: string[] = []
      for await (const file of client.files.list({ limit: 3, order })) found.push(file.id)
      return found
    }
    expect(await seen('asc')).toEqual(ids)
    expect(await seen('desc')).toEqual([...ids].reverse())
    expect((await client.files.list({ purpose: 'user_data' })).data.map((file) => file.id)).toEqual([ids[3]])
    expect((await client.files.list({ limit: 7 })).has_more).toBe(false)
    for await (const file of client.files.list({ limit: 2 })) await client.files.delete(file.id)
    expect(await seen('asc')).toEqual([])
  })

  it('honours expires_after, and an expired file is not there', async () => {
    const client = await harness.sdk('files-expiry')
    const file = await client.files.create({
      file: await toFile(Buffer.from(line(1)), 'a.jsonl'),
      purpose: 'batch',
      expires_after: { anchor: 'created_at', seconds: 3_600 },
    })
    expect(file.expires_at).toBe(file.created_at + 3_600)
    await harness.db.query("UPDATE files SET expires_at = now() - interval '1 second' WHERE id = $1", [file.id])
    expect(await status(client.files.retrieve(file.id))).toBe(404)
    expect(await status(client.files.content(file.id))).toBe(404)
    expect((await client.files.list()).data).toEqual([])
  })

  it.each([
    ['an empty file', '', 'batch', 400, /Invalid file format/],
    ['a file that is no JSONL', 'a,b\n1,2\n', 'batch', 400, /Invalid file format/],
    ['an unknown purpose', line(1), 'nonsense', 400, /Invalid value: 'nonsense'. Supported values are/],
  ])('refuses %s as OpenAI does, and keeps nothing of it', async (_, content, purpose, expected, message) => {
    const client = await harness.sdk('files-refused')
    const before = await filesOnDisk()
    const upload = client.files.create({
      file: await toFile(Buffer.from(content), 'a.jsonl'),
      purpose: purpose as 'batch',
    })
    await expect(upload).rejects.toMatchObject({ status: expected, message: expect.stringMatching(message) })
    expect(await filesOnDisk()).toEqual(before)
  })
})

describe('an upload', () => {
  const boundary = 'b0undary'
  const filePart = `--${boundary}\r\ncontent-disposition: form-data; name="file"; filename="a.jsonl"\r\ncontent-type: application/octet-stream\r\n\r\n`
  const purposePart = `--${boundary}\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nbatch\r\n`

  /** Streams an upload by hand; `cut` destroys the socket instead of ending it. */
  function send(key: string, pieces: AsyncIterable<string | Buffer>, options: { cut?: boolean } = {}) {
    return new Promise<{ status: number; body: string }>((resolve, reject) => {
      const req = httpRequest(
        `${harness.url}/v1/files`,
        {
          method: 'POST',
          headers: { authorization: `Bearer ${key}`, 'content-type': `multipart/form-data; boundary=${boundary}` },
        },
        (res) => {
          let body = ''
          res.on('data', (text) => {
            body += text
          })
          res.on('end', () => resolve({ status: res.statusCode ?? 0, body }))
        },
      )
      req.on('error', reject)
      void (async () => {
        for await (const piece of pieces) {
          if (!req.write(piece)) await new Promise((next) => req.once('drain', next))
        }
        if (options.cut) req.destroy()
        else req.end()
      })()
    })
  }

  async function* pieces(bytes: number, after: string, before = '') {
    yield before + filePart
    const piece = Buffer.from(line(1).trimEnd().padEnd(65_535).concat('\n'))
    for (let sent = 0; sent < bytes; sent += piece.length) yield piece
    yield after
  }

  it('of 60 MB streams through in little memory, with its fields after the file', async () => {
    const key = await harness.newKey('upload-big')
    const bytes = 60 * 1024 * 1024
    const end = `\r\n${purposePart}--${boundary}--\r\n`
    // The first upload makes the heap and its buffers grow to their working size.
    expect((await send(key, pieces(16 * 1024 * 1024, end))).status).toBe(200)
    let peak = 0
    const start = process.memoryUsage().rss
    const timer = setInterval(() => {
      peak = Math.max(peak, process.memoryUsage().rss)
    }, 10)
    const sent = await send(key, pieces(bytes, end))
    clearInterval(timer)
    expect(sent).toMatchObject({ status: 200 })
    const file = JSON.parse(sent.body)
    expect(file).toMatchObject({ bytes, purpose: 'batch' })
    expect(peak - start).toBeLessThan(bytes / 2)
    expect(await harness.blobs.size(`tenants/upload-big/files/${file.id}`)).toBe(bytes)
    const head = await harness.call('HEAD', `/v1/files/${file.id}/content`, key)
    expect([head.status, head.headers.get('content-length')]).toEqual([200, String(bytes)])
    expect((await harness.call('DELETE', `/v1/files/${file.id}`, key)).status).toBe(200)
  })

  it('cut off before its end leaves nothing behind', async () => {
    const key = await harness.newKey('upload-cut')
    const before = await filesOnDisk()
    const incoming = join(harness.blobRoot, '.incoming')
    async function* untilItIsOnDisk() {
      yield* pieces(4_000_000, '', purposePart)
      await eventually(async () => (await readdir(incoming)).length > 0, { what: 'the partial upload to begin' })
    }
    await expect(send(key, untilItIsOnDisk(), { cut: true })).rejects.toThrow()
    await eventually(async () => (await readdir(incoming)).length === 0, { what: 'the partial upload to go' })
    expect(await filesOnDisk()).toEqual(before)
    expect(await harness.db.query("SELECT 1 FROM files WHERE tenant_id = 'upload-cut'")).toEqual([])
  })

  it('over the limit is a 413 that the client gets to read, and leaves nothing behind', async () => {
    const key = await harness.newKey('upload-413')
    const before = await filesOnDisk()
    const sent = await send(key, pieces(70 * 1024 * 1024, `\r\n--${boundary}--\r\n`, purposePart))
    expect(sent.status).toBe(413)
    expect(JSON.parse(sent.body).error.code).toBe('payload_too_large')
    expect(await filesOnDisk()).toEqual(before)
  })

  it('that ends in the middle of the form is a 400 and leaves nothing behind', async () => {
    const key = await harness.newKey('upload-short')
    const before = await filesOnDisk()
    const sent = await send(key, pieces(100_000, '', purposePart))
    expect(sent.status).toBe(400)
    expect(await filesOnDisk()).toEqual(before)
  })

  it.each([
    ['in the form', filePart.replace('"file"', '"other"')],
    ['in a small file', `${purposePart}${filePart}{"a":1}`],
    ['in a file before its purpose', `${filePart}{"a":1}`],
    ['before its first byte', `${purposePart}${filePart}`],
  ])('that arrives at once and ends %s is a 400, and the gateway lives', async (_, text) => {
    const key = await harness.newKey('upload-small')
    const before = await filesOnDisk()
    async function* atOnce() {
      yield text
    }
    const sent = await send(key, atOnce())
    expect([sent.status, JSON.parse(sent.body).error.code]).toEqual([400, 'invalid_request'])
    expect(await filesOnDisk()).toEqual(before)
    expect((await harness.call('GET', '/healthz')).status).toBe(200)
  })

  it('without a file, or that is no form, is a 400 or 415', async () => {
    const key = await harness.newKey('upload-none')
    async function* noFile() {
      yield `${purposePart}--${boundary}--\r\n`
    }
    const sent = await send(key, noFile())
    expect([sent.status, JSON.parse(sent.body).error.param]).toEqual([400, 'file'])
    expect((await harness.call('POST', '/v1/files', key, {})).status).toBe(415)
  })
})
