import { createHash, randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { eventually, tempDir } from '@forebay/test-support'
import { afterEach, describe, expect, it } from 'vitest'
import { batchObject, fileObject, json, refusal, startApiServer } from './testing/api-server.ts'
import { runCommand, startBin } from './testing/run-command.ts'

const line = (url: string) => `${JSON.stringify({ custom_id: 'a', method: 'POST', url, body: {} })}\n`

describe('forebay batch', () => {
  const servers: Awaited<ReturnType<typeof startApiServer>>[] = []
  const serve = async (script: Parameters<typeof startApiServer>[0]) => {
    const server = await startApiServer(script)
    servers.push(server)
    return server
  }
  const inputFile = (text = line('/v1/chat/completions')) => {
    const path = join(tempDir(), 'in.jsonl')
    writeFileSync(path, text)
    return path
  }
  afterEach(() => Promise.all(servers.splice(0).map((server) => server.stop())))

  it('submits a file byte for byte on the endpoint of its first line, and prints the id alone on stdout', async () => {
    const server = await serve({
      'POST /v1/files': json(fileObject()),
      'POST /v1/batches': json(batchObject({ endpoint: '/v1/embeddings' })),
    })
    const text = line('/v1/embeddings') + randomBytes(1_500_000).toString('base64')
    const run = await runCommand(
      ['batch', 'submit', 'in.jsonl', '--window', '2h', '--metadata', 'team=search', '--metadata', 'eq=a=b'],
      { url: `${server.url}/v1/`, cwd: join(inputFile(text), '..') },
    )
    expect(run).toMatchObject({
      code: 0,
      stdout: 'batch_1\n',
      stderr: expect.stringContaining('forebay batch watch batch_1'),
    })
    const upload = server.to('POST /v1/files')[0]
    expect(upload?.headers.authorization).toBe('Bearer fb-0123456789abcdef')
    expect(Number(upload?.headers['content-length'])).toBe(Buffer.byteLength(upload?.body ?? ''))
    const sent = upload?.body.split('\r\n\r\n')[2]?.split('\r\n--forebay-')[0] ?? ''
    expect(createHash('sha256').update(sent).digest('hex')).toBe(createHash('sha256').update(text).digest('hex'))
    const create = server.to('POST /v1/batches')[0]
    expect(create?.headers['idempotency-key']).toMatch(/^[\w-]{36}$/)
    expect(JSON.parse(create?.body ?? '')).toEqual({
      input_file_id: 'file-in',
      endpoint: '/v1/embeddings',
      completion_window: '2h',
      metadata: { team: 'search', eq: 'a=b' },
    })
  })

  it('sends the check that the answers must fit, and says what is wrong with its file before it uploads', async () => {
    const server = await serve({
      'POST /v1/files': json(fileObject()),
      'POST /v1/batches': json(batchObject()),
    })
    const cwd = join(inputFile(), '..')
    writeFileSync(join(cwd, 'schema.json'), '{"type":"object"}')
    const submit = (...more: string[]) => runCommand(['batch', 'submit', 'in.jsonl', ...more], { url: server.url, cwd })
    expect(await submit('--check-schema', 'schema.json', '--check-retries', '0')).toMatchObject({ code: 0 })
    expect(await submit('--check-regex', '^yes$')).toMatchObject({ code: 0 })
    const checks = server.to('POST /v1/batches').map((call) => JSON.parse(call.body).forebay)
    expect(checks).toEqual([
      { check: { json_schema: { type: 'object' }, max_retries: 0 } },
      { check: { regex: '^yes$' } },
    ])
    for (const wrong of [
      ['--check-retries', '1'],
      ['--check-schema', 'schema.json', '--check-regex', 'a'],
      ['--check-schema', 'in.jsonl.not'],
      ['--check-schema', 'empty.json'],
    ]) {
      writeFileSync(join(cwd, 'empty.json'), '')
      expect((await submit(...wrong)).code).toBe(2)
    }
    expect(server.to('POST /v1/files')).toHaveLength(2)
  })

  it('takes the upload back when the batch is refused', async () => {
    const server = await serve({
      'POST /v1/files': json(fileObject()),
      'POST /v1/batches': refusal(400, {
        message: 'No such\nwindow.',
        code: 'invalid_value',
        param: 'completion_window',
      }),
      'DELETE /v1/files/file-in': json({ id: 'file-in', deleted: true }),
    })
    const run = await runCommand(['batch', 'submit', inputFile()], { url: server.url })
    expect(run.code).toBe(1)
    expect(run.stderr).toContain('error: No such window. (invalid_value, param completion_window)\n')
    expect(server.to('DELETE /v1/files/file-in')).toHaveLength(1)
  })

  it('tries the creation again with the same key when the connection is cut', async () => {
    const server = await serve({
      'POST /v1/files': json(fileObject()),
      'POST /v1/batches': (_call, nth) => (nth === 1 ? { status: 0, hangUp: true } : json(batchObject())),
    })
    expect((await runCommand(['batch', 'submit', inputFile()], { url: server.url })).code).toBe(0)
    const keys = server.to('POST /v1/batches').map((call) => call.headers['idempotency-key'])
    expect(keys).toHaveLength(2)
    expect(new Set(keys).size).toBe(1)
  })

  const faults = Array.from({ length: 25 }, (_, i) => ({
    code: 'invalid_url',
    message: 'Wrong.',
    param: 'url',
    line: i + 1,
  }))
  it.each([
    [
      0,
      'completed',
      { request_counts: { total: 4, completed: 4, failed: 0 }, output_file_id: 'file-o' },
      'batch results',
    ],
    [
      3,
      'completed',
      { request_counts: { total: 4, completed: 3, failed: 1 }, error_file_id: 'file-e' },
      'batch errors',
    ],
    [4, 'failed', { errors: { object: 'list', data: faults } }, 'line 20: Wrong. (invalid_url, url)\n  and 5 more'],
    [4, 'expired', { request_counts: { total: 4, completed: 2, failed: 2 } }, '4 requests done, 2 of them failed.'],
    [4, 'cancelled', {}, 'batch_1 cancelled'],
  ])('submit --wait ends with exit code %i when the batch is %s', async (code, status, fields, said) => {
    const running = batchObject({ status: 'in_progress', request_counts: { total: 4, completed: 1, failed: 0 } })
    const server = await serve({
      'POST /v1/files': json(fileObject()),
      'POST /v1/batches': json(batchObject()),
      'GET /v1/batches/batch_1': (_call, nth) => json(nth === 1 ? running : batchObject({ status, ...fields })),
    })
    const run = await runCommand(['batch', 'submit', inputFile(), '--wait'], { url: server.url })
    expect(run).toMatchObject({ code, stdout: 'batch_1\n', stderr: expect.stringContaining(said) })
    expect(run.stderr).toContain('batch_1 1/4 in_progress')
  })

  it('watch --json says nothing but the finished batch, and outlasts a gateway that is away', async () => {
    const done = batchObject({ status: 'completed', request_counts: { total: 1, completed: 1, failed: 0 } })
    const server = await serve({
      'GET /v1/batches/batch_1': (_call, nth) =>
        nth === 1
          ? json(batchObject())
          : nth < 5
            ? refusal(503, { message: 'Away.', code: 'unavailable' })
            : json(done),
    })
    const run = await runCommand(['batch', 'watch', 'batch_1', '--json'], { url: server.url })
    expect(run).toMatchObject({ code: 0, stderr: '' })
    expect(JSON.parse(run.stdout)).toEqual(done)
  })

  it('detaches on Ctrl-C with code 130 and says how to come back', async () => {
    const server = await serve({ 'GET /v1/batches/batch_1': json(batchObject({ status: 'in_progress' })) })
    const bin = startBin(['batch', 'watch', 'batch_1'], { url: server.url })
    await eventually(() => server.calls.length >= 2, { what: 'the batch to be watched' })
    bin.interrupt()
    expect(await bin.done).toMatchObject({
      code: 130,
      stdout: '',
      stderr: expect.stringContaining('Resume: forebay batch watch batch_1'),
    })
  })

  it('lists as an array over all pages it needs, and as a table', async () => {
    const page = (from: number, count: number) =>
      Array.from({ length: count }, (_, i) => batchObject({ id: `batch_${from + i}` }))
    const server = await serve({
      'GET /v1/batches': ({ url }) =>
        url.includes('after=batch_99')
          ? json({ data: page(100, 30), has_more: true })
          : json({ data: page(0, 100), has_more: true }),
    })
    const [listed, shown] = await Promise.all([
      runCommand(['batch', 'list', '--limit', '130', '--json'], { url: server.url }),
      runCommand(['--url', server.url, 'batch', 'list', '--limit', '100']),
    ])
    expect(JSON.parse(listed.stdout).map((batch: { id: string }) => batch.id)).toEqual(
      Array.from({ length: 130 }, (_, i) => `batch_${i}`),
    )
    expect(shown.stdout.split('\n')[1]).toMatch(/^batch_0 +validating +0 +0 +0 +2023-11-14T22:13:20Z +\/v1\/chat/)
  })

  it('cancels and shows what became of it', async () => {
    const server = await serve({ 'POST /v1/batches/batch_1/cancel': json(batchObject({ status: 'cancelling' })) })
    const run = await runCommand(['batch', 'cancel', 'batch_1'], { url: server.url })
    expect(run).toMatchObject({ code: 0, stderr: expect.stringContaining('batch_1 is being cancelled.') })
    expect(run.stdout).toMatch(/^status +cancelling$/m)
  })

  it('gives results as they are, on stdout and in a file that is whole or not there', async () => {
    const content = `${'{"custom_id":"é"}\n'.repeat(20_000)}`
    const server = await serve({
      'GET /v1/batches/batch_1': json(batchObject({ status: 'completed', output_file_id: 'file-o' })),
      'GET /v1/files/file-o/content': (_call, nth) => ({ status: 200, body: content, hangUp: nth > 2 }),
    })
    const folder = tempDir()
    const piped = await runCommand(['batch', 'results', 'batch_1'], { url: server.url })
    expect(piped).toMatchObject({ code: 0, stdout: content, stderr: '' })
    const saved = await runCommand(['batch', 'results', 'batch_1', '-o', 'out.jsonl'], { url: server.url, cwd: folder })
    expect(saved).toMatchObject({ code: 0, stdout: '', stderr: expect.stringContaining('to out.jsonl') })
    expect(readFileSync(join(folder, 'out.jsonl'), 'utf8')).toBe(content)
    const broken = await runCommand(['batch', 'results', 'batch_1', '-o', 'bad.jsonl'], {
      url: server.url,
      cwd: folder,
    })
    expect(broken.code).toBe(7)
    expect(readdirSync(folder)).toEqual(['out.jsonl'])
  })

  it('says that results are not there yet, or will never be', async () => {
    const server = await serve({
      'GET /v1/batches/batch_1': json(batchObject({ status: 'in_progress' })),
      'GET /v1/batches/batch_2': json(batchObject({ id: 'batch_2', status: 'completed' })),
    })
    const [early, none] = await Promise.all([
      runCommand(['batch', 'results', 'batch_1'], { url: server.url }),
      runCommand(['batch', 'results', 'batch_2'], { url: server.url }),
    ])
    expect(early).toMatchObject({ code: 1, stderr: expect.stringContaining('forebay batch watch batch_1') })
    expect(none).toMatchObject({ code: 0, stdout: '', stderr: expect.stringContaining('has no results') })
  })
})
