import { pathToFileURL } from 'node:url'
import { bundleOf } from './bundle.mjs'

/**
 * Runs a script of Forebay's in this process, from its bundle, as if it had been started with these arguments. Where its
 * bundle cannot be made, it says why on stderr and ends the process with 1.
 *
 * @param {string} script absolute path
 * @param {readonly string[]} args
 */
export async function launch(script, args) {
  let entry
  try {
    entry = await bundleOf(script)
  } catch (err) {
    process.stderr.write(`${err.message}\n`)
    process.exit(1)
  }
  // Stack traces name lines of the sources.
  process.setSourceMapsEnabled(true)
  process.argv.splice(1, Number.POSITIVE_INFINITY, script, ...args)
  await import(pathToFileURL(entry).href)
}
