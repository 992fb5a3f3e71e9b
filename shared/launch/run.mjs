// Runs one of Forebay's processes: node shared/launch/run.mjs <script> [argument …]
// The script's path is relative to the repository. `--build` first only makes the bundles of all that are named.
import { existsSync } from 'node:fs'
import { relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bundleOf } from './src/bundle.mjs'
import { launch } from './src/launch.mjs'

const root = fileURLToPath(new URL('../../', import.meta.url))
const [first = '', ...rest] = process.argv.slice(2)
if (first === '--build') {
  for (const script of rest.map(found)) console.log(relative(root, await bundleOf(script)))
} else await launch(found(first), rest)

function found(script) {
  const path = resolve(root, script)
  if (script !== '' && existsSync(path)) return path
  console.error(`There is no script '${script}'. Name one, such as services/gateway/src/main.ts.`)
  process.exit(1)
}
