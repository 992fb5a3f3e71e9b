import { readFile } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { loadPools } from './load-pools.ts'
import { parsePools, parsePoolsFile } from './parse-pools.ts'
import { poolsFileJsonSchema } from './pools-file.ts'

const parse = (text: string, env = {}) => parsePools({ text, file: 'pools.yaml', env })
const messageOf = (text: string): string => {
  try {
    parse(text)
  } catch (err) {
    return err instanceof Error ? err.message : String(err)
  }
  throw new Error('it was accepted')
}

describe('a pools file', () => {
  it('gives each pool what it says, and takes passwords from the environment', () => {
    const text = `
pools:
  - name: eu-a
    cloud: aws
    region: eu-central-1
    models: [llama]
    quantization: fp8
    queue: redis://:\${EU_PASSWORD}@eu:6379
    blobs: s3://bucket/eu
    costPerGpuHour: 2.5
    gpus: 4
    residency: [eu]
    minReplicas: 1
    maxReplicas: 8
    spot: true
    coldStartSeconds: 90
    tokensPerSecond: 7000
  - name: local
    queue: 'memory:'
`
    const [eu, local] = parse(text, { EU_PASSWORD: 'secret' })
    expect(eu).toEqual({
      ...{ name: 'eu-a', cloud: 'aws', region: 'eu-central-1', models: ['llama'], quantization: 'fp8' },
      ...{ queueUrl: 'redis://:secret@eu:6379', blobUrl: 's3://bucket/eu', costPerGpuHour: 2.5, gpus: 4 },
      ...{ spot: true, coldStartSeconds: 90, tokensPerSecond: 7000 },
      ...{ residency: ['eu'], minReplicas: 1, maxReplicas: 8, tier: 1, managed: false, spendCapPerDay: undefined },
    })
    expect(local).toMatchObject({ blobUrl: undefined, models: undefined, residency: [], minReplicas: 0, spot: false })
  })

  it('says how a pool is chosen; what it does not say is as usual', () => {
    const routing = (more: string) =>
      parsePoolsFile({ text: `pools: [{ name: a, queue: 'memory:' }]\n${more}`, file: 'f', env: {} }).routing
    const weights = { latency: 0.4, cost: 0.3, load: 0.2, proximity: 0.1 }
    expect(routing('')).toEqual({ weights, home: { cloud: undefined, region: undefined } })
    expect(routing('routing: { weights: { cost: 1 }, home: { region: eu-1 } }')).toEqual({
      weights: { ...weights, cost: 1 },
      home: { cloud: undefined, region: 'eu-1' },
    })
    const none = '{ latency: 0, cost: 0, load: 0, proximity: 0 }'
    expect(() => routing(`routing: { weights: ${none} }`)).toThrow('line 2: routing.weights must not all be 0')
    expect(() => routing('routing: { weights: { cost: -1, speed: 2 } }')).toThrow(
      /weights.cost must not be negative\n.*weights.speed is no setting of routing/,
    )
  })

  it('says which models aliases stand for, and names a model that no pool serves', () => {
    const pool = "pools: [{ name: a, queue: 'memory:', models: [m, n] }]"
    const routes = (text: string) => parsePoolsFile({ text: `${pool}\n${text}`, file: 'f', env: {} }).routes
    expect(routes('')).toEqual([])
    expect(routes('routes: [{ alias: x, to: m }, { alias: y, to: { m: 9, n: 1 }, when: { minTokens: 5 } }]')).toEqual([
      { alias: 'x', to: { m: 1 }, when: {} },
      { alias: 'y', to: { m: 9, n: 1 }, when: { minTokens: 5 } },
    ])
    expect(() => routes('routes:\n  - { alias: x, to: typo }')).toThrow(
      "line 3: routes[0].to names the model 'typo', which no pool serves",
    )
    expect(() => routes('routes: [{ alias: x, to: { m: 0 } }]')).toThrow(/routes\[0\].to/)
    expect(() => routes('routes: [{ alias: x, to: m, when: { size: 1 } }]')).toThrow('size is no setting of routes')
  })

  it('with a managed pool says what may be spent there', () => {
    expect(messageOf("pools: [{ name: a, queue: 'memory:', managed: true }]")).toContain(
      'pools[0].managed (pool "a") is true and spendCapPerDay not given',
    )
    expect(messageOf("pools: [{ name: a, queue: 'memory:', spendCapPerDay: 5 }]")).toContain(
      'pools[0].spendCapPerDay (pool "a") is given and managed is not true',
    )
  })

  it('is refused with every fault at once, each with its line and the name of its pool', () => {
    const message = messageOf(`pools:
  - name: eu-a
    queue: carrier-pigeon://loft
    minReplicas: 4
    maxReplicas: 2
    colour: red
  - name: eu-a
    queue: redis://\${NOT_SET}:6379
    gpus: many
    blobs: ftp://x/y
  - cloud: aws
`)
    expect(message.split('\n')).toEqual([
      'pools.yaml has 9 faults:',
      expect.stringMatching(
        /^ {2}line 3: pools\[0\]\.queue \(pool "eu-a"\) is no queue URL: it must start with one of memory:/,
      ),
      '  line 4: pools[0].minReplicas (pool "eu-a") is 4 and maxReplicas 2: the least must not be more than the most',
      '  line 6: pools[0].colour (pool "eu-a") is no setting of a pool',
      '  line 7: pools[1].name (pool "eu-a") is "eu-a", as is that of pools[0]: each needs its own',
      '  line 8: pools[1].queue (pool "eu-a") needs NOT_SET, which is not set in the environment',
      expect.stringMatching(/^ {2}line 9: pools\[1\]\.gpus \(pool "eu-a"\) .*number/),
      expect.stringMatching(
        /^ {2}line 10: pools\[1\]\.blobs \(pool "eu-a"\) is no blob URL: 'ftp:\/\/x\/y' is not supported/,
      ),
      expect.stringMatching(/^ {2}line 11: pools\[2\]\.name /),
      expect.stringMatching(/^ {2}line 11: pools\[2\]\.queue /),
    ])
  })

  it.each([
    ['sqs://key:secret@eu-west-1/a', 'it must not hold credentials'],
    ['sqs://eu-west-1/a?endpiont=http://x', 'it has the unknown parameter "endpiont"'],
    ['pubsub:///a', 'it has no host'],
    ['servicebus://ns/a--b', 'it has the prefix "a--b"'],
    ['servicebus:// x', 'it cannot be parsed'],
  ])('is refused for the queue of a cloud that its driver would not take, and shows a right one: %s', (url, fault) => {
    const message = messageOf(`pools:\n  - { name: ours, queue: '${url}' }\n`)
    expect(message).toContain(`line 2: pools[0].queue (pool "ours") is no queue URL: ${fault}`)
    expect(message).toContain(`It looks like ${url.split(':')[0]}://my-`.replace('sqs://my-', 'sqs://eu-central-1/'))
    expect(message).not.toContain('secret')
  })

  it('is read for one pool although the passwords of the others are not set here', () => {
    const text = `pools:
  - { name: a, queue: 'redis://:\${A}@a:1' }
  - { name: b, queue: '\${B}', gpus: x }
`
    expect(parsePools({ text, file: 'f', env: { A: 'x' }, only: 'a' })).toMatchObject([{ queueUrl: 'redis://:x@a:1' }])
    expect(() => parsePools({ text, file: 'f', env: {}, only: 'a' })).toThrow(
      'f has a fault:\n  line 2: pools[0].queue (pool "a") needs A',
    )
    expect(() => parsePools({ text, file: 'f', env: {}, only: 'c' })).toThrow('f has 3 faults')
  })

  it.each(['pools:\n  - name: [\n', ''])('that is no such file is refused and named: %j', (text) => {
    expect(messageOf(text)).toMatch(/^pools\.yaml has /)
  })

  it('has its JSON schema published as it is in the code', async () => {
    const path = new URL('../../../deploy/forebay.config.schema.json', import.meta.url)
    // When this fails: npx forebay pools schema > deploy/forebay.config.schema.json && npx biome format --write deploy
    expect(JSON.parse(await readFile(path, 'utf8'))).toEqual(poolsFileJsonSchema())
  })
})

describe('without a file', () => {
  const env = {}
  const config = { configFile: undefined, pool: 'default', queueUrl: 'redis://r:6379' }

  it('there is one pool, of the environment', async () => {
    const { file, pools } = await loadPools({ config, env, queueUrlDefault: undefined })
    expect(file).toBeUndefined()
    expect(pools).toMatchObject([{ name: 'default', queueUrl: 'redis://r:6379', blobUrl: undefined }])
  })

  it('a file that was named is missed, and so is a queue', async () => {
    await expect(
      loadPools({ config: { ...config, configFile: 'gone.yaml' }, env, queueUrlDefault: undefined }),
    ).rejects.toMatchObject({ code: 'config_invalid', message: expect.stringContaining('gone.yaml') })
    await expect(
      loadPools({ config: { ...config, queueUrl: undefined }, env, queueUrlDefault: undefined }),
    ).rejects.toMatchObject({ code: 'config_invalid', message: expect.stringContaining('QUEUE_URL') })
  })
})

describe('the engines of a worker', () => {
  const file = (engines: string, more = 'engineMemoryGb: 70') =>
    `pools:\n  - name: a\n    queue: 'memory:'\n    ${more}\n    engines: ${engines}\n`
  const engine = (model: string, memoryGb: number, more = '') =>
    `{ model: ${model}, url: "http://127.0.0.1:8000", memoryGb: ${memoryGb}${more} }`

  it('are taken as they are said', () => {
    const [pool] = parse(file(`[${engine('m', 60, ', adapters: [{ name: x, source: /x, memoryGb: 2 }]')}]`))
    expect(pool).toMatchObject({
      engineMemoryGb: 70,
      engines: [{ model: 'm', memoryGb: 60, asleepGb: 1, adapters: [{ name: 'x', source: '/x', memoryGb: 2 }] }],
    })
  })

  it('are refused with the numbers that do not fit', () => {
    const both = `[${engine('m', 66, ', adapters: [{ name: x, source: /x, memoryGb: 4 }]')}, ${engine('n', 40, ', asleepGb: 3')}]`
    expect(messageOf(file(both))).toContain(
      "cannot hold 'm': it takes 66 GB awake, 4 GB for an adapter and the others 3 GB asleep, more than engineMemoryGb 70",
    )
    expect(messageOf(file(`[${engine('m', 5, ', asleepGb: 6')}]`))).toContain('more asleep (6 GB) than awake (5 GB)')
    expect(messageOf(file(`[${engine('m', 5)}, ${engine('m', 5)}]`))).toContain("names the model 'm' twice")
    expect(messageOf(file(`[${engine('m', 5)}]`, 'gpus: 1'))).toContain('say how much memory they share')
    expect(messageOf("pools: [{ name: a, queue: 'memory:', engineMemoryGb: 4 }]")).toContain('engines is not')
  })
})

it('refuses costs that no GPU has, and a least that is more than the most, with their numbers', () => {
  const pool = (more: string) => messageOf(`pools: [{ name: a, queue: 'memory:', ${more} }]`)
  expect(pool('costPerGpuHour: -1')).toContain('costPerGpuHour (pool "a") must not be negative')
  expect(pool('costPerGpuHour: 25000')).toContain('must be at most 10000: it is per GPU and hour')
  expect(pool('minReplicas: 4, maxReplicas: 2')).toContain('is 4 and maxReplicas 2: the least must not be more')
})

describe('the GPU of a pool', () => {
  const pool = (more: string) => `pools:\n  - name: a\n    queue: 'memory:'\n    ${more}\n`

  it('is refused where the catalogue does not have it, with the nearest names and the line', () => {
    expect(messageOf(pool('gpu: A100'))).toContain(
      `line 4: pools[0].gpu (pool "a") is 'A100', which the catalogue of \`forebay plan\` does not have (nearest: A100-40GB, A100-80GB, `,
    )
    expect(messageOf(pool('gpu: H10'))).toContain('(nearest: H100, ')
    expect(messageOf(pool('gpu: NVIDIA H2000'))).toContain('(nearest: H200, ')
  })

  it('may be one of your own, or a part of one, with its memory', () => {
    expect(parse(pool('gpu: h100'))).toMatchObject([{ gpu: 'h100' }])
    expect(parse(pool('gpu: MI300X\n    gpuMemoryGb: 192'))).toMatchObject([{ gpu: 'MI300X', gpuMemoryGb: 192 }])
    expect(parse(pool('gpu: H100\n    gpuMemoryGb: 40'))).toMatchObject([{ gpu: 'H100', gpuMemoryGb: 40 }])
    expect(messageOf(pool('gpu: H100\n    gpuMemoryGb: 141'))).toContain('is 141, and H100 has 80 GB')
  })
})

it('refuses an alias whose small or large model no pool serves', () => {
  const routes = 'routes: [{ alias: auto, complexity: { small: m, large: n } }]'
  expect(messageOf(`pools: [{ name: a, queue: 'memory:', models: [m] }]\n${routes}`)).toContain(
    "routes[0].complexity names the model 'n', which no pool serves",
  )
})
