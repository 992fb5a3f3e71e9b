import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { tempDir, testDatabase } from '@forebay/test-support'
import { afterEach, describe, expect, it } from 'vitest'
import { batchObject, fileObject, json, refusal, startApiServer } from './testing/api-server.ts'
import { runCommand, startBin } from './testing/run-command.ts'

describe('forebay', () => {
  const servers: Awaited<ReturnType<typeof startApiServer>>[] = []
  const serve = async (script: Parameters<typeof startApiServer>[0]) => {
    const server = await startApiServer(script)
    servers.push(server)
    return server
  }
  afterEach(() => Promise.all(servers.splice(0).map((server) => server.stop())))

  it.each([
    ['a key that is refused', refusal(401, { message: 'Incorrect API key.', code: 'invalid_api_key' }), 5, 1],
    ['a role that does not suffice', refusal(403, { message: 'No.', code: 'permission_denied' }), 5, 1],
    [
      'a quota that is used up',
      refusal(429, { message: 'Over.', code: 'insufficient_quota' }, { 'x-should-retry': 'false' }),
      6,
      1,
    ],
    [
      'a rate limit that stays',
      refusal(429, { message: 'Slow down.', code: 'rate_limit_exceeded' }, { 'retry-after': '0' }),
      6,
      3,
    ],
    ['something not found', refusal(404, { message: 'None.', code: 'not_found', param: 'id' }), 1, 1],
    ['a server that fails', { status: 500, body: 'oops' }, 1, 3],
    ['a connection that is cut', { status: 0, hangUp: true }, 7, 3],
  ])('ends for %s as it says, one line on stderr', async (_what, answer, code, tries) => {
    const server = await serve({ 'GET /v1/files/file-1': answer })
    const run = await runCommand(['files', 'get', 'file-1'], { url: server.url })
    expect(run).toMatchObject({ code, stdout: '', stderr: expect.stringMatching(/^error: [^\n]+\n$/) })
    expect(server.calls).toHaveLength(tries)
  })

  it('says its version', async () => {
    expect(await runCommand(['--version'])).toMatchObject({ code: 0, stdout: '0.1.0\n' })
  })

  it('puts an error as a JSON line on stderr with --json', async () => {
    const error = { message: 'None.', code: 'not_found', param: 'id' }
    const server = await serve({ 'GET /v1/files/file-1': refusal(404, error) })
    const run = await runCommand(['files', 'get', 'file-1', '--json'], { url: server.url })
    expect(run).toMatchObject({ code: 1, stdout: '' })
    expect(JSON.parse(run.stderr)).toEqual({ error })
  })

  it('ends with 2 for what cannot work, before anything is sent', async () => {
    const server = await serve({})
    const { url } = server
    const runs = await Promise.all([
      runCommand(['nonsense'], { url }),
      runCommand(['batch', 'get'], { url }),
      runCommand(['batch', 'list', '--limit', '0'], { url }),
      runCommand(['batch', 'submit', 'no-such-file.jsonl'], { url }),
      runCommand(['docs', 'submit', '.', '--model', 'm', '--prompt', 'no place'], { url }),
      runCommand(['models'], { url, env: { FOREBAY_URL: 'ftp://x', FOREBAY_NO_SETTING: '1' } }),
    ])
    expect(runs.map((run) => run.code)).toEqual([2, 2, 2, 2, 2, 2])
    expect(runs[5]?.stderr).toMatch(/FOREBAY_URL must.*FOREBAY_NO_SETTING is not a setting/)
    expect(server.calls).toHaveLength(0)
  })

  it('ends with 5 when no key is set', async () => {
    expect(await runCommand(['models'], { env: { FOREBAY_API_KEY: '' } })).toMatchObject({
      code: 5,
      stderr: expect.stringContaining('FOREBAY_API_KEY'),
    })
  })

  it('says what it met when the server is no Forebay', async () => {
    const server = await serve({ 'GET /v1/models': { status: 200, body: '<html>' } })
    expect(await runCommand(['models'], { url: server.url })).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('not the Forebay API'),
    })
  })

  it('makes a batch of documents, one request for each, named by its path', async () => {
    const server = await serve({ 'POST /v1/files': json(fileObject()), 'POST /v1/batches': json(batchObject()) })
    const cwd = tempDir()
    mkdirSync(join(cwd, 'docs/deep'), { recursive: true })
    mkdirSync(join(cwd, 'docs/node_modules'))
    const write = (path: string, data: string | Buffer) => writeFileSync(join(cwd, path), data)
    write('docs/b.md', 'costs $& and {{text}}\n"quoted"')
    write('docs/deep/a.txt', `\ufefflong 😀 text`)
    write('docs/[odd].markdown', 'odd')
    write('docs/LICENSE', 'MIT')
    write('docs/code.js', 'let x')
    write('docs/node_modules/x.md', 'no')
    write('docs/blank.txt', ' \n')
    write('docs/binary.txt', Buffer.from([0xff, 0xfe, 0x41, 0]))
    const run = await runCommand(
      [
        'docs',
        'submit',
        'docs',
        'docs/[odd].markdown',
        '--model',
        'm',
        '--prompt',
        'Sum: {{text}}',
        '--system',
        'Be brief',
        '--max-tokens',
        '9',
        '--max-chars',
        '30',
      ],
      { url: server.url, cwd },
    )
    expect(run).toMatchObject({ code: 0, stdout: 'batch_1\n' })
    expect(run.stderr).toContain('Left out 1 file')
    expect(run.stderr).toContain('Skipped, being empty or not UTF-8 text: docs/binary.txt, docs/blank.txt')
    const body = server.to('POST /v1/files')[0]?.body ?? ''
    const lines = body
      .split('\r\n\r\n')[2]
      ?.split('\r\n--')[0]
      ?.trimEnd()
      .split('\n')
      .map((text) => JSON.parse(text))
    expect(lines?.map((one) => one.custom_id)).toEqual([
      'docs/LICENSE',
      'docs/[odd].markdown',
      'docs/b.md',
      'docs/deep/a.txt',
    ])
    expect(lines?.[2]).toEqual({
      custom_id: 'docs/b.md',
      method: 'POST',
      url: '/v1/chat/completions',
      body: {
        model: 'm',
        messages: [
          { role: 'system', content: 'Be brief' },
          { role: 'user', content: 'Sum: costs $& and {{text}}\n"quoted"' },
        ],
        max_tokens: 9,
      },
    })
    expect(lines?.[3].body.messages[1].content).toBe('Sum: long 😀 text')
  })

  it('cuts long documents at a whole character, and says which', async () => {
    const server = await serve({ 'POST /v1/files': json(fileObject()), 'POST /v1/batches': json(batchObject()) })
    const cwd = tempDir()
    writeFileSync(join(cwd, 'a.md'), 'abc😀def')
    const run = await runCommand(
      ['docs', 'submit', '*.md', '--model', 'm', '--prompt', '{{text}}', '--max-chars', '4', '--json'],
      { url: server.url, cwd },
    )
    expect(JSON.parse(run.stdout)).toMatchObject({ id: 'batch_1' })
    expect(JSON.parse(run.stderr)).toEqual({ warning: 'Cut to 4 characters: a.md' })
    expect(server.to('POST /v1/files')[0]?.body).toContain('"content":"abc"')
  })

  it('handles files, keys, webhooks, models and usage', async () => {
    const key = { id: 'key_1', name: 'ci', role: 'user', project: 'research', hint: 'wxyz', created_at: 1_700_000_000 }
    const hook = { id: 'we_1', url: 'https://x.test/', events: [], created_at: 1_700_000_000 }
    const server = await serve({
      'GET /v1/files': json({ data: [fileObject({ filename: 'a\u001b[31m.jsonl' })], has_more: false }),
      'DELETE /v1/files/file-in': json({ id: 'file-in', deleted: true }),
      'POST /admin/keys': json({ ...key, key: 'fb-secret' }),
      'GET /admin/keys': json({ data: [{ ...key, revoked_at: 1_700_000_001 }] }),
      'DELETE /admin/keys/key_1': json({ id: 'key_1', deleted: true }),
      'POST /v1/webhooks': json({ ...hook, secret: 'whsec_x' }),
      'GET /v1/webhooks': json({
        data: [{ ...hook, disabled_at: 1_700_000_000, disabled_reason: 'It answered 410 Gone.' }],
      }),
      'GET /v1/models': json({ data: [{ id: 'llama' }, { id: 'qwen' }] }),
      'GET /v1/usage': json({
        data: [
          {
            key: 'llama',
            requests: 1234,
            input_tokens: 5,
            output_tokens: 6,
            cost_nano: 1_500_000_000,
            currency: 'USD',
          },
        ],
      }),
    })
    const { url } = server
    const run = async (...args: string[]) => (await runCommand(args, { url })).stdout
    const [files, deleted, created, keys, hooked, hooks, models, usage] = await Promise.all([
      run('files', 'list'),
      run('files', 'delete', 'file-in', '--json'),
      run('keys', 'create', 'ci', '--role', 'admin', '--tenant', 'acme'),
      run('keys', 'list'),
      run('webhooks', 'create', 'https://x.test/', '--events', 'batch.completed, batch.failed'),
      run('webhooks', 'list'),
      run('models'),
      run('usage', '--group-by', 'day', '--start', '2026-01-01'),
    ])
    await run('usage', '--by', 'line', '--batch', 'batch_1')
    expect(files).toContain('a?[31m.jsonl')
    expect(JSON.parse(deleted)).toEqual({ id: 'file-in', deleted: true })
    expect(created).toBe('fb-secret\n')
    expect(JSON.parse(server.to('POST /admin/keys')[0]?.body ?? '')).toEqual({
      name: 'ci',
      role: 'admin',
      tenant: 'acme',
    })
    expect(keys).toMatch(/key_1 +wxyz +user +revoked .* research +ci/)
    expect(hooked).toBe('whsec_x\n')
    expect(JSON.parse(server.to('POST /v1/webhooks')[0]?.body ?? '').events).toEqual([
      'batch.completed',
      'batch.failed',
    ])
    expect(hooks).toContain('disabled: It answered 410 Gone.')
    expect(models).toBe('llama\nqwen\n')
    expect(usage).toMatch(/^DAY +REQUESTS.*\nllama +1,234 +5 +6 +1\.50 USD\n$/)
    expect(server.to('GET /v1/usage').map((call) => call.url)).toEqual([
      '/v1/usage?group_by=day&start=2026-01-01',
      '/v1/usage?group_by=line&batch=batch_1',
    ])
  })

  it('shows every setting and where it is from, with secrets masked', async () => {
    const run = await runCommand(['config', '--json'], { env: { DATABASE_URL: 'postgres://me:hunter2@db/x' } })
    const rows: { setting: string; source: string }[] = JSON.parse(run.stdout)
    expect(rows.find((row) => row.setting === 'DATABASE_URL')?.source).toBe('environment')
    expect(run.stdout).not.toMatch(/hunter2|0123456789/)
  })

  it('migrates an empty database, and says so when there is nothing to do', async () => {
    const database = await testDatabase({ migrated: false })
    try {
      const first = await runCommand(['migrate'], { env: { DATABASE_URL: database.url } })
      expect(first).toMatchObject({ code: 0, stdout: expect.stringContaining('0001_core.sql') })
      const second = await runCommand(['migrate', '--json'], { env: { DATABASE_URL: database.url } })
      expect(second).toMatchObject({ code: 0, stdout: '[]\n' })
      expect((await runCommand(['migrate'])).code).toBe(2)
    } finally {
      await database.drop()
    }
  })

  it('runs in a folder whose tsconfig.json is broken', async () => {
    const cwd = tempDir()
    writeFileSync(join(cwd, 'tsconfig.json'), '{ nonsense')
    expect(await startBin(['--help'], { cwd }).done).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^Examples:/),
    })
  })
})
