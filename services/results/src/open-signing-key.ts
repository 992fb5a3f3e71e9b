import { join } from 'node:path'
import { keepSigningKey, readSigningKey, type SigningKey } from '@forebay/audit'
import type { Config } from '@forebay/config'
import { describeError, ForebayError, type Logger } from '@forebay/kernel'

/** The key that signs checkpoints: the one configured, else one kept in the data folder. Throws `config_invalid` when there can be neither. */
export async function openSigningKey(options: {
  config: Pick<Config, 'auditKey' | 'dataDir'>
  logger: Logger
}): Promise<SigningKey> {
  const { config, logger } = options
  const path = join(config.dataDir, 'audit-key.pem')
  const kept = () =>
    keepSigningKey(path).catch((err: unknown) => {
      const text = `The key that signs the audit log cannot be kept in ${path}: ${describeError(err)}. Set FOREBAY_AUDIT_KEY (openssl genpkey -algorithm ed25519), or FOREBAY_DATA_DIR to a folder that can be written.`
      throw new ForebayError('config_invalid', text)
    })
  const key = config.auditKey ? readSigningKey(config.auditKey) : await kept()
  logger.info({ keyId: key.id, publicKey: key.publicKey }, 'audit checkpoints are signed')
  return key
}
