import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { tempDir } from '@forebay/test-support'
import { expect, it } from 'vitest'
import { runCommand } from './testing/run-command.ts'

const url = 'http://127.0.0.1:1'

it('plays a trace and a batch against a simulated engine, without a gateway', async () => {
  const trace = join(tempDir(), 'trace.csv')
  const rows = Array.from({ length: 20 }, (_, i) => `2023-11-16 18:15:${10 + i}.5,${100 + i},${10 + i}`)
  writeFileSync(trace, `TIMESTAMP,ContextTokens,GeneratedTokens\n${rows.join('\n')}\n`)
  const run = await runCommand(
    ['simulate', '--trace', trace, '--batch-lines', '200', '--ttft-p99-ms', '80', '--json'],
    {
      url,
    },
  )
  expect(run).toMatchObject({ code: 0, stderr: '' })
  expect(JSON.parse(run.stdout)).toMatchObject({ realtime: { requests: 20 }, batch: { requests: 200 } })
})

it('ends with 2 when there is nothing to play, or no such trace', async () => {
  const runs = await Promise.all([
    runCommand(['simulate'], { url }),
    runCommand(['simulate', '--trace', 'no-such-trace.csv'], { url }),
    runCommand(['simulate', '--profile', 'nothing'], { url }),
  ])
  expect(runs.map((run) => run.code)).toEqual([2, 2, 2])
})
