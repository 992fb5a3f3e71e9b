import { join } from 'node:path'
import { keepSigningKey, readSigningKey, type SigningKey } from '@forebay/audit'
import type { Config } from '@forebay/config'
import type { Logger } from '@forebay/kernel'

/** The key that signs checkpoints: the one configured, else one kept in the data folder. */
export async function openSigningKey(options: {
  config: Pick<Config, 'auditKey' | 'dataDir'>
  logger: Logger
}): Promise<SigningKey> {
  const { config, logger } = options
  const key = config.auditKey
    ? readSigningKey(config.auditKey)
    : await keepSigningKey(join(config.dataDir, 'audit-key.pem'))
  logger.info({ keyId: key.id, publicKey: key.publicKey }, 'audit checkpoints are signed')
  return key
}
