import { parsePoolsFile } from '@forebay/pools'
import { expect, it } from 'vitest'
import { checkFit } from './check-fit.ts'

it('counts on the memory that the file gives of a GPU of your own, and refuses what does not fit it', async () => {
  const text = `
pools:
  - { name: large, queue: 'memory:', gpu: MI300X, gpuMemoryGb: 192 }
  - { name: part, queue: 'memory:', gpu: H100, gpuMemoryGb: 10 }
  - { name: unsaid, queue: 'memory:' }
models:
  - { name: m, source: meta-llama/Llama-3.1-8B-Instruct, versions: [{ version: b }], variants: [{ name: v }] }
`
  const { models, pools } = parsePoolsFile({ text, file: 'f', env: {} })
  const spec = (name: string) => pools.find((pool) => pool.name === name)
  const fitting = (...names: string[]) =>
    checkFit({ pools: { models, spec }, names, model: 'm', version: 'b', variant: undefined })
  expect(await fitting('large', 'unsaid')).toEqual([
    { pool: 'large', told: expect.stringMatching(/^It fits: .* in 172\.8 GB of 1 × MI300X/) },
    { pool: 'unsaid', told: expect.stringMatching(/^Not checked: /) },
  ])
  await expect(fitting('part')).rejects.toThrow(/In the pool 'part': m \(v\) does not fit: .* in 9\.0 GB of 1 × H100/)
})
