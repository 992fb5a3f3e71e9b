import { mkdir } from 'node:fs/promises'
import { resolve } from 'node:path'
import { describeError, ForebayError } from '@forebay/kernel'

/** The data folder's absolute path, made when it is not there. Throws `config_invalid` naming the setting when it cannot be. */
export async function makeDataDir(dataDir: string): Promise<string> {
  const path = resolve(dataDir)
  await mkdir(path, { recursive: true }).catch((err: unknown) => {
    const text = `FOREBAY_DATA_DIR: the folder ${path} cannot be used: ${describeError(err)}. Name another.`
    throw new ForebayError('config_invalid', text, { cause: err })
  })
  return path
}
