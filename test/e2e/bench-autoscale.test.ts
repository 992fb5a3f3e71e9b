import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { tempDir } from '@forebay/test-support'
import { expect, it } from 'vitest'
import { run } from '../bench/autoscale/run.ts'

const traceOf = async (text: string) => {
  const path = join(tempDir(), 'trace.csv')
  await writeFile(path, text)
  return path
}

it('bench autoscale plays a trace in the format of the Azure LLM traces under every policy', async () => {
  const rows = Array.from({ length: 600 }, (_, i) => {
    const at = new Date(Date.UTC(2024, 4, 10) + i * 2_000).toISOString().replace('T', ' ').replace('Z', '0000')
    return `${at},${400 + (i % 7)},100`
  })
  const trace = await traceOf(['TIMESTAMP,ContextTokens,GeneratedTokens', ...rows].join('\n'))
  const report = await run(['--trace', trace, '--seed', '2'])
  expect(report).toMatchObject({
    day: { liveRequests: 600, hours: 0.333 },
    policies: [
      { name: 'forebay', gpuHours: expect.any(Number), misses: expect.any(Number) },
      ...Array(3).fill({ gpuHours: expect.any(Number) }),
      { name: 'oracle', misses: 0 },
    ],
  })
  expect(await run(['--trace', trace, '--seed', '2'])).toEqual(report)
})

it('bench autoscale says what a file lacks that is no trace', async () => {
  const trace = await traceOf('a,b\n1,2\n')
  await expect(run(['--trace', trace])).rejects.toThrow('has not the columns TIMESTAMP, ContextTokens')
})
