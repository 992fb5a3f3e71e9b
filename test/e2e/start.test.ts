import { spawn } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { tempDir, testDatabase } from '@forebay/test-support'
import { describe, expect, it } from 'vitest'

/** Runs `npm start`'s process until it exits. */
function start(env: Record<string, string>): Promise<{ code: number | null; stderr: string }> {
  const child = spawn(process.execPath, ['shared/launch/run.mjs', 'services/standalone/src/main.ts'], {
    env: { PATH: process.env['PATH'], FOREBAY_ENGINE_URL: 'http://127.0.0.1:9', ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let stderr = ''
  child.stderr.on('data', (text) => {
    stderr += text
  })
  return new Promise((resolve) => child.on('exit', (code) => resolve({ code, stderr })))
}

describe('a start that cannot succeed says why in one line and exits 1', () => {
  it('the port is taken', async () => {
    const taken = createServer()
    await new Promise<void>((listening) => taken.listen(0, '127.0.0.1', listening))
    const address = taken.address()
    const port = typeof address === 'object' ? String(address?.port) : ''
    const database = await testDatabase({ migrated: false })
    const ended = await start({ PORT: port, FOREBAY_DATA_DIR: tempDir(), DATABASE_URL: database.url })
    taken.close()
    expect(ended.code).toBe(1)
    expect(ended.stderr).toContain(`The gateway cannot listen on 127.0.0.1:${port} (EADDRINUSE). Choose another PORT`)
    expect(ended.stderr).not.toContain('    at ')
  })

  it('the data folder is a file', async () => {
    const file = join(tempDir(), 'file')
    writeFileSync(file, '')
    const ended = await start({ PORT: '0', FOREBAY_DATA_DIR: file })
    expect(ended).toMatchObject({ code: 1, stderr: expect.stringMatching(/^FOREBAY_DATA_DIR: the folder .*\n$/) })
  })

  it('the database does not answer', async () => {
    const url = 'postgres://user:secret@127.0.0.1:9/forebay'
    const ended = await start({ PORT: '0', FOREBAY_DATA_DIR: tempDir(), DATABASE_URL: url })
    expect(ended).toMatchObject({ code: 1, stderr: expect.stringMatching(/^The database at .*DATABASE_URL\.\n$/) })
    expect(ended.stderr).not.toContain('secret')
  })
})
