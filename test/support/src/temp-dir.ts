import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { provided } from './provided.ts'

const made = new Set<string>()

process.on('exit', () => {
  for (const path of made) rmSync(path, { recursive: true, force: true })
})

/**
 * A new empty folder, removed by itself: with the whole run's folder under vitest, when the process ends elsewhere.
 */
export function tempDir(): string {
  const parent = provided()?.tempRoot
  const path = mkdtempSync(join(parent ?? realpathSync(tmpdir()), 'forebay-'))
  if (parent === undefined) made.add(path)
  return path
}
