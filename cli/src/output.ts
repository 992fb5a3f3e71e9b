import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { rename, rm } from 'node:fs/promises'
import type { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { usageFailure } from './failure.ts'

/** Where text goes: a stream, and whether a person watches it. */
export type Sink = Writable & { readonly isTTY?: boolean; readonly columns?: number }

/** Data goes to stdout and messages to stderr, so that a command's output can be piped. */
export interface Output {
  readonly json: boolean
  readonly stderr: Sink
  /** The command's result: the value itself with --json, else the text made of it. */
  data(value: unknown, text: () => string): void
  /** A message to the person; left out with --json. */
  note(message: string): void
  /** Something that is not as it was asked for; with --json as a JSON line on stderr. */
  warn(message: string): void
  /** Streams bytes to a file, which appears only when it is whole, or to stdout. Returns the bytes. */
  bytes(parts: AsyncIterable<Buffer>, path: string | undefined): Promise<number>
}

/** Makes the output of one command. */
export function makeOutput(options: { stdout: Sink; stderr: Sink; json: boolean }): Output {
  const { stdout, stderr, json } = options
  return {
    json,
    stderr,
    data: (value, text) => {
      const shown = json ? JSON.stringify(value, null, 2) : text()
      if (shown !== '') stdout.write(`${shown}\n`)
    },
    note: (message) => {
      if (!json) stderr.write(`${message}\n`)
    },
    warn: (message) => {
      stderr.write(`${json ? JSON.stringify({ warning: message }) : message}\n`)
    },
    bytes: async (parts, path) => {
      let bytes = 0
      const counted = async function* () {
        for await (const part of parts) {
          bytes += part.length
          yield part
        }
      }
      if (path === undefined) {
        for await (const part of counted()) if (!stdout.write(part)) await once(stdout, 'drain')
        return bytes
      }
      const partial = `${path}.part`
      const file = createWriteStream(partial)
      await once(file, 'open').catch((err: NodeJS.ErrnoException) => {
        throw usageFailure(`Cannot write ${path} (${err.code ?? err.message}).`)
      })
      try {
        await pipeline(counted(), file)
        await rename(partial, path)
      } catch (err) {
        await rm(partial, { force: true })
        throw err
      }
      return bytes
    },
  }
}
