import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import pg from 'pg'
import { expect, it, onTestFinished } from 'vitest'
import { eventually, freePort, redisUrl, startRedis, tempDir, testDatabase } from './index.ts'

it('gives every caller a migrated database of its own, also when many ask at once', async () => {
  const databases = await Promise.all(Array.from({ length: 5 }, () => testDatabase()))
  onTestFinished(async () => {
    await Promise.all(databases.map((database) => database.drop()))
  })
  expect(new Set(databases.map((database) => database.url)).size).toBe(5)
  for (const { url } of databases) {
    const tables = await query(url, `SELECT 1 FROM pg_tables WHERE tablename = 'batches'`)
    expect(tables).toHaveLength(1)
  }
})

it('gives an empty database when asked for one, and drops it under an open connection', async () => {
  const database = await testDatabase({ migrated: false })
  const client = new pg.Client({ connectionString: database.url })
  client.on('error', () => {})
  await client.connect()
  const { rows } = await client.query(`SELECT 1 FROM pg_tables WHERE schemaname = 'public'`)
  expect(rows).toHaveLength(0)
  await database.drop()
  await expect(query(database.url, 'SELECT 1')).rejects.toThrow(/does not exist/)
})

it('a Redis of a test keeps its data over a kill when appendonly, and loses it otherwise', async () => {
  for (const appendonly of [true, false]) {
    const dir = tempDir()
    const port = await freePort()
    const first = await startRedis({ port, dir, appendonly })
    expect(await command(first.url, 'SET k v')).toBe('+OK')
    await first.kill()
    await expect(command(first.url, 'PING')).rejects.toThrow(/ECONNREFUSED/)
    const second = await startRedis({ port, dir, appendonly })
    onTestFinished(() => second.stop())
    expect(await command(second.url, 'GET k')).toBe(appendonly ? '$1' : '$-1')
    await second.stop()
  }
})

it('says what Redis said when it cannot start', async () => {
  const first = await startRedis()
  onTestFinished(() => first.stop())
  await expect(startRedis({ port: first.port })).rejects.toThrow(/in use|bind/)
})

it('offers the shared Redis of the run', async () => {
  expect(await command(redisUrl(), 'PING')).toBe('+PONG')
})

it('eventually answers the first truthy result, passing over errors, and names what did not come', async () => {
  let calls = 0
  const found = await eventually(
    () => {
      calls++
      if (calls === 1) throw new Error('not yet')
      return calls === 3 ? 'there' : undefined
    },
    { what: 'the third call' },
  )
  expect(found).toBe('there')
  await expect(eventually(() => false, { timeoutMs: 20, what: 'a miracle' })).rejects.toThrow(/a miracle/)
})

it('makes temporary folders that differ', async () => {
  const [a, b] = [tempDir(), tempDir()]
  expect(a).not.toBe(b)
  await writeFile(join(a, 'file'), 'x')
  expect(existsSync(join(a, 'file'))).toBe(true)
})

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}

/** Sends one inline command and answers the first line of the reply. */
function command(url: string, line: string): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1', () => socket.write(`${line}\r\n`))
    socket.once('error', reject)
    socket.once('data', (data) => {
      socket.destroy()
      resolve(data.toString().split('\r\n')[0])
    })
  })
}
