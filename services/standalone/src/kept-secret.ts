import { randomBytes } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/** The secret kept in a file; when there is none, one that `make` answers, kept there readable by this user alone. */
export async function keptSecret(path: string, make: () => string): Promise<string> {
  const kept = await readFile(path, 'utf8').catch(() => '')
  if (kept.trim() !== '') return kept.trim()
  const secret = make()
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, `${secret}\n`, { mode: 0o600 })
  return secret
}

/** What workers make tenants' cache salts from: `given`, else the one kept in the data folder. */
export async function cacheSaltSecret(options: { dataDir: string; given: string | undefined }): Promise<string> {
  return options.given ?? keptSecret(join(options.dataDir, 'cache-salt'), () => randomBytes(32).toString('base64url'))
}
