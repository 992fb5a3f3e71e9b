// Plain JavaScript, for it is what makes the rest run.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'

/** Older bundles of a script that stay: a process that runs from one may still load a part of it. */
const olderKept = 4

/**
 * The bundle of a script as it is now: the path of its JavaScript, made anew only when a file that went into it has changed.
 *
 * A bundle is known by the digest of its sources, so it is never stale, and two processes that make the same one at the
 * same time do not meet. It holds Forebay's own code; packages of others are loaded from node_modules. Throws when the
 * sources do not compile or the folder `dist` cannot be written.
 *
 * @param {string} script absolute path of the script
 * @returns {Promise<string>}
 */
export async function bundleOf(script) {
  const root = rootOf(script)
  const home = join(root, 'dist', relative(root, script).replaceAll(sep, '.').replace(/\.ts$/, ''))
  const known = readManifest(join(home, 'bundle.json'))
  if (known && digestOf(root, known.inputs) === known.digest) {
    const entry = join(home, known.digest, 'main.mjs')
    if (existsSync(entry)) return entry
  }
  const { inputs, files } = await buildWhole(script, root, home)
  const digest = digestOf(root, inputs)
  try {
    keep(home, digest, files)
    writeWhole(join(home, 'bundle.json'), JSON.stringify({ digest, inputs }))
  } catch (err) {
    throw new Error(
      `The bundle of ${relative(root, script)} cannot be written: ${err.message}. Run "npm run build" once as a user who may.`,
    )
  }
  removeOlder(home)
  return join(home, digest, 'main.mjs')
}

/** The nearest folder above with Forebay's packages. */
function rootOf(script) {
  for (let folder = dirname(script); folder !== dirname(folder); folder = dirname(folder)) {
    if (existsSync(join(folder, 'node_modules/@forebay'))) return folder
  }
  throw new Error(`${script} has no node_modules above it. Run "npm ci" first.`)
}

function readManifest(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch {
    return undefined
  }
}

// How sources are put together, and the version that esbuild is pinned to.
const makers = [import.meta.url, new URL('../package.json', import.meta.url)].map((url) => readFileSync(new URL(url)))

/** Of the sources and of what makes bundles of them; undefined when a source is gone. */
function digestOf(root, inputs) {
  const hash = createHash('sha256')
  for (const maker of makers) hash.update(maker)
  try {
    for (const input of inputs) hash.update(`\0${input}\0`).update(readFileSync(join(root, input)))
  } catch {
    return undefined
  }
  return hash.digest('hex').slice(0, 16)
}

/** Builds, again when a source changed meanwhile: the digest would be of what is not in the bundle. */
async function buildWhole(script, root, home) {
  for (let tries = 1; ; tries++) {
    // Times of files are told by a clock that ticks every few milliseconds.
    const beganMs = Date.now() - 10
    const built = await build(script, root, home)
    const isWhole = built.inputs.every((input) => statSync(join(root, input)).mtimeMs < beganMs)
    if (isWhole || tries === 3) return built
  }
}

async function build(script, root, home) {
  const { build: run, stop } = await import('esbuild')
  // A bundle's folder has another name in the end, at the same depth: paths to what lies beside its sources hold.
  const outdir = join(home, 'digest')
  try {
    const { metafile, outputFiles } = await run({
      entryPoints: { main: script },
      absWorkingDir: root,
      outdir,
      outExtension: { '.js': '.mjs' },
      bundle: true,
      // What is imported when it is needed stays a file of its own.
      splitting: true,
      format: 'esm',
      platform: 'node',
      target: 'node20',
      sourcemap: 'linked',
      sourcesContent: false,
      tsconfigRaw: {},
      metafile: true,
      write: false,
      logLevel: 'silent',
      plugins: [packagesOfOthers, sourcesSayWhereTheyAre(outdir)],
    })
    const sources = Object.keys(metafile.inputs)
    return {
      inputs: [...sources, ...descriptionsOf(root, sources)].sort(),
      files: outputFiles.map((file) => ({ name: relative(outdir, file.path), bytes: file.contents })),
    }
  } finally {
    await stop()
  }
}

/** The package.json of each package that a source is of: its `exports` say which sources there are. */
function descriptionsOf(root, sources) {
  const found = new Set()
  for (const source of sources) {
    for (let folder = dirname(source); folder !== '.'; folder = dirname(folder)) {
      const path = join(folder, 'package.json')
      if (!existsSync(join(root, path))) continue
      found.add(path)
      break
    }
  }
  return [...found]
}

const packagesOfOthers = {
  name: 'packages of others are not bundled',
  setup(builder) {
    builder.onResolve({ filter: /^[^./]/ }, ({ kind, path }) =>
      kind === 'entry-point' || path.startsWith('@forebay/') ? undefined : { path, external: true },
    )
  },
}

const sourcesSayWhereTheyAre = (outdir) => ({
  name: 'import.meta.url is that of the source',
  setup(builder) {
    builder.onLoad({ filter: /\.ts$/ }, ({ path }) => {
      const text = readFileSync(path, 'utf8')
      if (!text.includes('import.meta.url')) return undefined
      const from = JSON.stringify(relative(outdir, path).replaceAll(sep, '/'))
      return { loader: 'ts', contents: text.replaceAll('import.meta.url', `new URL(${from}, import.meta.url).href`) }
    })
  },
})

/** Puts the files into place together. */
function keep(home, digest, files) {
  const folder = join(home, digest)
  const making = `${folder}.${process.pid}`
  mkdirSync(making, { recursive: true })
  for (const { bytes, name } of files) writeFileSync(join(making, name), bytes)
  try {
    renameSync(making, folder)
  } catch (err) {
    rmSync(making, { recursive: true, force: true })
    // Another process made the same.
    if (!existsSync(folder)) throw err
  }
}

function writeWhole(path, text) {
  writeFileSync(`${path}.${process.pid}`, text)
  renameSync(`${path}.${process.pid}`, path)
}

function removeOlder(home) {
  const bundles = readdirSync(home, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => ({ path: join(home, name), madeMs: madeMsOf(join(home, name)) }))
    .sort((a, b) => b.madeMs - a.madeMs)
  for (const { path } of bundles.slice(1 + olderKept)) rmSync(path, { recursive: true, force: true })
}

/** Now, of a folder that another process has just given its own name. */
function madeMsOf(folder) {
  return statSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? Date.now()
}
