import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'

/* Rules a linter has no word for. When one fails, mend the code; the few exceptions are named here with their reason. */
const root = resolve(import.meta.dirname, '../..')

function* sources(folder: string): Generator<string> {
  for (const name of readdirSync(folder)) {
    if (name === 'node_modules' || name.startsWith('.')) continue
    const path = join(folder, name)
    if (statSync(path).isDirectory()) yield* sources(path)
    else if (/\.ts$/.test(name)) yield path
  }
}

const files = ['shared', 'services', 'workers', 'cli']
  .flatMap((folder) => [...sources(join(root, folder))])
  .map((path) => ({ path: relative(root, path), text: readFileSync(path, 'utf8') }))
const shipped = files.filter((file) => !file.path.endsWith('.test.ts') && !/\/(testing|conformance)\//.test(file.path))
const matching = (pattern: RegExp, except: RegExp) =>
  shipped.filter((file) => pattern.test(file.text) && !except.test(file.path)).map((file) => file.path)

describe('house rules', () => {
  it('see the real tree', () => expect(shipped.length).toBeGreaterThan(60))

  it('read the environment only in the entry points', () => {
    expect(matching(/process\.env\b/, /\/main\.ts$|env\.ts$/)).toEqual([])
  })

  it('take the wall clock and timers from the Clock', () => {
    // The kernel's clock is the clock; the folder store compares with the file system's own times.
    expect(
      matching(
        /\bDate\.now\(|\bsetTimeout\(|\bsetInterval\(/,
        /^shared\/kernel\/src\/clock\.ts$|^shared\/blobs\/src\/folder\.ts$/,
      ),
    ).toEqual([])
  })

  it('follow signals by eitherSignal, which leaves nothing in those that live for ever', () => {
    expect(matching(/\bAbortSignal\.any\(/, /^$/)).toEqual([])
  })

  it('keep a source file to one idea: at most 400 lines', () => {
    expect(shipped.filter((file) => file.text.split('\n').length > 400).map((file) => file.path)).toEqual([])
  })

  it('leave no focused or skipped-by-hand test, and no unfinished mark', () => {
    expect(
      files
        .filter((file) => /\b(it|test|describe)\.(only|todo)\(|\b(TODO|FIXME|XXX)\b/.test(file.text))
        .map((file) => file.path),
    ).toEqual([])
  })
})
