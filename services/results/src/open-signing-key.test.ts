import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { silentLogger } from '@forebay/kernel'
import { tempDir } from '@forebay/test-support'
import { expect, test } from 'vitest'
import { openSigningKey } from './open-signing-key.ts'

const open = (dataDir: string, auditKey?: string) =>
  openSigningKey({ config: { auditKey, dataDir }, logger: silentLogger })

test('the key made at the first start signs after the next one too', async () => {
  const dataDir = join(tempDir(), 'data')
  expect((await open(dataDir)).id).toBe((await open(dataDir)).id)
})

test('a data folder that cannot be written is named, with the way out', async () => {
  const file = join(tempDir(), 'a-file')
  writeFileSync(file, '')
  await expect(open(file)).rejects.toMatchObject({ code: 'config_invalid', message: expect.stringContaining(file) })
  await expect(open(file)).rejects.toThrow('Set FOREBAY_AUDIT_KEY')
})
