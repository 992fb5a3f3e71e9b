import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'

/*
 * Who may import whom (ARCHITECTURE.md, "Import rules"). When this fails: an import crosses a line on purpose drawn.
 * Move the shared part into a package below `shared/`, or pass the thing in as a dependency; do not widen the rule.
 */
const root = resolve(import.meta.dirname, '../..')

interface Import {
  file: string
  from: string
  to: string
}

const packages = new Map<string, string>()
for (const group of ['shared', 'shared/queue', 'services', 'workers', 'test', '.']) {
  for (const name of readdirSync(join(root, group))) {
    const manifest = join(root, group, name, 'package.json')
    try {
      packages.set(JSON.parse(readFileSync(manifest, 'utf8')).name, relative(root, dirname(manifest)))
    } catch {}
  }
}

function* sources(folder: string): Generator<string> {
  for (const name of readdirSync(folder)) {
    if (name === 'node_modules' || name.startsWith('.')) continue
    const path = join(folder, name)
    if (statSync(path).isDirectory()) yield* sources(path)
    else if (/\.(ts|tsx|mjs)$/.test(name)) yield path
  }
}

function folderOf(path: string): string {
  return (
    [...packages.values()]
      .filter((folder) => path === folder || path.startsWith(`${folder}/`))
      .sort((a, b) => b.length - a.length)[0] ?? ''
  )
}

function importsOf(file: string): Import[] {
  const text = readFileSync(file, 'utf8')
  const path = relative(root, file)
  const found: Import[] = []
  for (const match of text.matchAll(/(?:\bfrom\s+|\bimport\s*\(\s*|^import\s+)['"]([^'"]+)['"]/gm)) {
    const name = match[1] ?? ''
    const to = name.startsWith('.')
      ? folderOf(relative(root, resolve(dirname(file), name)))
      : (packages.get(
          name
            .split('/')
            .slice(0, name.startsWith('@') ? 2 : 1)
            .join('/'),
        ) ?? name)
    found.push({ file: path, from: folderOf(path), to })
  }
  return found
}

const all = ['shared', 'services', 'workers', 'cli', 'test'].flatMap((folder) =>
  [...sources(join(root, folder))].flatMap(importsOf),
)
const isTest = (file: string) => /\.test\.ts$|^test\/|\/testing\//.test(file)
const shipped = all.filter((i) => !isTest(i.file))
const offenders = (bad: (i: Import) => boolean) => shipped.filter(bad).map((i) => `${i.file} imports ${i.to}`)

describe('import rules', () => {
  it('are checked against the real tree', () => {
    expect(packages.size).toBeGreaterThan(20)
    expect(shipped.length).toBeGreaterThan(200)
  })

  it('keep contracts free of everything but zod', () => {
    expect(offenders((i) => i.from === 'shared/contracts' && !['zod', 'shared/contracts'].includes(i.to))).toEqual([])
  })

  it('keep the kernel below everything but contracts', () => {
    expect(
      offenders(
        (i) => i.from === 'shared/kernel' && packagesOf(i.to) && !['shared/kernel', 'shared/contracts'].includes(i.to),
      ),
    ).toEqual([])
  })

  it('keep libraries from importing processes', () => {
    expect(offenders((i) => i.from.startsWith('shared/') && /^(services|workers|cli)(\/|$)/.test(i.to))).toEqual([])
  })

  it('keep processes from importing one another, standalone excepted', () => {
    const isProcess = (folder: string) => /^(services|workers)\//.test(folder) || folder === 'cli'
    expect(
      offenders((i) => isProcess(i.from) && isProcess(i.to) && i.from !== i.to && i.from !== 'services/standalone'),
    ).toEqual([])
  })

  it('keep the SDK of a broker or a store inside its own driver', () => {
    const homes: Record<string, string> = {
      bullmq: 'shared/queue/bullmq',
      '@aws-sdk/client-sqs': 'shared/queue/sqs',
      '@google-cloud/pubsub': 'shared/queue/pubsub',
      '@azure/service-bus': 'shared/queue/servicebus',
      '@aws-sdk/client-s3': 'shared/blobs-s3',
      '@azure/storage-blob': 'shared/blobs-azure',
    }
    expect(offenders((i) => i.to in homes && i.from !== homes[i.to])).toEqual([])
    expect(Object.keys(homes).filter((sdk) => !shipped.some((i) => i.to === sdk))).toEqual([])
  })

  it('keep a queue driver to the port, the kernel and its SDK', () => {
    const drivers = readdirSync(join(root, 'shared/queue'))
      .filter((name) => existsSync(join(root, 'shared/queue', name, 'src/driver.ts')))
      .map((name) => `shared/queue/${name}`)
    expect(drivers.length).toBeGreaterThan(4)
    const allowed = (i: Import) => [i.from, 'shared/queue/port', 'shared/redis', 'shared/kernel'].includes(i.to)
    expect(offenders((i) => drivers.includes(i.from) && packagesOf(i.to) && !allowed(i))).toEqual([])
  })

  it('keep the emulators to tests', () => {
    expect(offenders((i) => i.to === 'test/emulators')).toEqual([])
  })

  it('let only the entry points choose a queue driver', () => {
    const drivers = ['memory', 'bullmq', 'redis-streams', 'sqs', 'pubsub', 'servicebus'].map(
      (name) => `shared/queue/${name}`,
    )
    expect(offenders((i) => drivers.includes(i.to) && i.from !== i.to && i.from !== 'shared/queue/select')).toEqual([])
    expect(
      offenders(
        (i) =>
          i.to === 'shared/queue/select' &&
          i.from !== i.to &&
          i.from !== 'shared/pools' &&
          !/\/(main|build|drivers)\.ts$/.test(i.file) &&
          i.from !== 'services/standalone',
      ),
    ).toEqual([])
  })

  it('keep workers away from the database', () => {
    expect(offenders((i) => i.from.startsWith('workers/') && ['shared/store', 'pg'].includes(i.to))).toEqual([])
  })

  it('are declared: a package imports only what its manifest names', () => {
    const undeclared = all.filter((i) => {
      if (i.to === i.from || i.from === '' || i.to.startsWith('node:')) return false
      const manifest = JSON.parse(readFileSync(join(root, i.from, 'package.json'), 'utf8'))
      const declared = new Set(
        ['dependencies', 'devDependencies', 'peerDependencies', 'optionalDependencies'].flatMap((kind) =>
          Object.keys(manifest[kind] ?? {}),
        ),
      )
      const name =
        [...packages].find(([, folder]) => folder === i.to)?.[0] ??
        i.to
          .split('/')
          .slice(0, i.to.startsWith('@') ? 2 : 1)
          .join('/')
      return (
        !declared.has(name) &&
        !(isTest(i.file) && ['vitest', '@forebay/test-support'].includes(name)) &&
        name !== 'vitest'
      )
    })
    expect([...new Set(undeclared.map((i) => `${i.file} imports ${i.to}`))]).toEqual([])
  })
})

function packagesOf(folder: string): boolean {
  return [...packages.values()].includes(folder)
}
