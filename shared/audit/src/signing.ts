import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ForebayError } from '@forebay/kernel'

/** What a checkpoint says: so far had this tenant's chain come, and with this hash. */
export interface Statement {
  tenantId: string
  seq: number
  hash: Buffer
  signedAtMs: number
}

/** The key that signs checkpoints. */
export interface SigningKey {
  /** First 16 hex digits of the SHA-256 of the public key. */
  readonly id: string
  /** SPKI as PEM: what a verifier needs. */
  readonly publicKey: string
  sign(statement: Statement): Buffer
}

/** Reads an Ed25519 private key: PKCS #8 as PEM, or its base64. Throws `config_invalid` when it is none. */
export function readSigningKey(text: string): SigningKey {
  try {
    const pem = text.includes('-----BEGIN')
    const key = pem
      ? createPrivateKey(text.replaceAll('\\n', '\n'))
      : createPrivateKey({ key: Buffer.from(text, 'base64'), format: 'der', type: 'pkcs8' })
    if (key.asymmetricKeyType !== 'ed25519') throw new Error(`it is of the type ${key.asymmetricKeyType}`)
    return signingKeyOf(key)
  } catch (err) {
    const reason = err instanceof Error ? err.message : String(err)
    const message = `FOREBAY_AUDIT_KEY is no Ed25519 private key in PKCS #8 (${reason}). Make one with: openssl genpkey -algorithm ed25519`
    throw new ForebayError('config_invalid', message)
  }
}

/** Reads the key kept in a file, which is made, readable by its owner only, when it is not there. */
export async function keepSigningKey(path: string): Promise<SigningKey> {
  const { privateKey } = generateKeyPairSync('ed25519')
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, privateKey.export({ format: 'pem', type: 'pkcs8' }), { flag: 'wx', mode: 0o600 }).catch(
    (err: NodeJS.ErrnoException) => {
      if (err.code !== 'EEXIST') throw err
    },
  )
  return readSigningKey(await readFile(path, 'utf8'))
}

/** Whether the holder of the key signed this. False also for a key that cannot be read. */
export function isSigned(statement: Statement, signature: Buffer, publicKey: string): boolean {
  try {
    return verify(null, bytesOf(statement), createPublicKey(publicKey), signature)
  } catch {
    return false
  }
}

/** The id of a public key. */
export function keyIdOf(publicKey: string): string {
  const der = createPublicKey(publicKey).export({ format: 'der', type: 'spki' })
  return createHash('sha256').update(der).digest('hex').slice(0, 16)
}

function signingKeyOf(key: KeyObject): SigningKey {
  const publicKey = createPublicKey(key).export({ format: 'pem', type: 'spki' }).toString()
  return { id: keyIdOf(publicKey), publicKey, sign: (statement) => sign(null, bytesOf(statement), key) }
}

function bytesOf({ tenantId, seq, hash, signedAtMs }: Statement): Buffer {
  return Buffer.from(JSON.stringify(['forebay audit checkpoint 1', tenantId, seq, hash.toString('hex'), signedAtMs]))
}
