import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { Context } from './context.ts'
import { usageFailure } from './failure.ts'

/** The options that say what every answer of a batch must fit. */
export interface CheckOptions {
  checkSchema?: string
  checkRegex?: string
  checkRetries?: number
}

/** The check as the API takes it; undefined when none is asked for. Throws a usage failure for one that makes no sense. */
export async function readCheck({ cwd }: Context, options: CheckOptions): Promise<object | undefined> {
  const { checkRegex: regex, checkRetries, checkSchema: file } = options
  if (file !== undefined && regex !== undefined) throw usageFailure('Give --check-schema or --check-regex, not both.')
  const retries = checkRetries === undefined ? {} : { max_retries: checkRetries }
  if (regex !== undefined) return { regex, ...retries }
  if (file !== undefined) return { json_schema: await readSchema(resolve(cwd, file), file), ...retries }
  if (checkRetries === undefined) return undefined
  throw usageFailure('--check-retries is for --check-schema or --check-regex: give one of them.')
}

async function readSchema(path: string, shown: string): Promise<unknown> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch {
    throw usageFailure(`The schema ${shown} cannot be read. Give --check-schema the path of a file.`)
  }
  try {
    return JSON.parse(text)
  } catch {
    throw usageFailure(`The schema ${shown} is no JSON.`)
  }
}
