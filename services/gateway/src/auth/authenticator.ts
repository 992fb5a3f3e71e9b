import { type Clock, describeError, ForebayError, type Logger, type Running } from '@forebay/kernel'
import { type Database, hashApiKey, type KeyRole } from '@forebay/store'
import { LRUCache } from 'lru-cache'

/** Who calls, as their key says: the tenant is never taken from anywhere else. */
export interface Caller {
  keyId: string
  tenantId: string
  projectId: string
  role: KeyRole
  requestsPerMinute: number | null
  tokensPerMinute: number | null
  /** The tag that the pools must carry where its requests run, when a request names none. */
  residency: string | null
  /** The key, in hex, of the hashes that stand for the tenant's end users. */
  endUserKey: string
}

interface Known {
  readonly caller: Promise<Caller | undefined>
  readonly atMs: number
  /** Who it is, once the database told. */
  found: Caller | undefined
}

const keptMs = 5_000
const usedEveryMs = 60_000

/**
 * Finds the caller of a key. What the database said, also that there is no such key, is kept for 5 s: a revoked key
 * works no longer than that. When a key was last used is written once a minute, for all keys at once.
 */
export class Authenticator implements Running {
  readonly #db: Database
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #known = new LRUCache<string, Known>({ max: 10_000 })
  #used = new Set<string>()
  #stopTimer: (() => void) | undefined

  constructor(options: { db: Database; clock: Clock; logger: Logger }) {
    this.#db = options.db
    this.#clock = options.clock
    this.#logger = options.logger
  }

  start(): void {
    this.#stopTimer ??= this.#clock.every(usedEveryMs, () => void this.#writeUsed())
  }

  /** The caller of a header as the database told within the last 5 s; undefined where it has to be asked, or there is none. */
  known(authorization: string | undefined): Caller | undefined {
    const key = keyIn(authorization)
    if (key === undefined) return undefined
    const caller = this.#fresh(nameOf(hashApiKey(key)))?.found
    if (caller) this.#used.add(caller.keyId)
    return caller
  }

  /** Throws `invalid_api_key` (401) for a header without a valid key, `unavailable` when the database cannot tell. */
  async authenticate(authorization: string | undefined): Promise<Caller> {
    const key = keyIn(authorization)
    if (key === undefined) {
      throw new ForebayError(
        'invalid_api_key',
        "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
      )
    }
    const caller = await this.#find(key)
    if (!caller) {
      throw new ForebayError(
        'invalid_api_key',
        `Incorrect API key provided: ${mask(key)}. Ask whoever runs this server for a valid one.`,
      )
    }
    this.#used.add(caller.keyId)
    return caller
  }

  async stop(): Promise<void> {
    this.#stopTimer?.()
    this.#stopTimer = undefined
    await this.#writeUsed()
  }

  #find(key: string): Promise<Caller | undefined> {
    const hash = hashApiKey(key)
    const name = nameOf(hash)
    const fresh = this.#fresh(name)
    if (fresh) return fresh.caller
    const caller = this.#look(hash)
    const known: Known = { caller, atMs: this.#clock.now(), found: undefined }
    this.#known.set(name, known)
    caller.then(
      (found) => {
        known.found = found
      },
      () => this.#known.delete(name),
    )
    return caller
  }

  #fresh(name: string): Known | undefined {
    const now = this.#clock.now()
    const known = this.#known.get(name)
    return known && now - known.atMs < keptMs && now >= known.atMs ? known : undefined
  }

  async #look(hash: Buffer): Promise<Caller | undefined> {
    const rows = await this.#db.query<{
      id: string
      tenant_id: string
      project_id: string
      role: KeyRole
      requests_per_minute: number | null
      tokens_per_minute: number | null
      residency: string | null
      end_user_key: string
    }>(
      `SELECT k.id, k.tenant_id, k.project_id, k.role, t.requests_per_minute, t.tokens_per_minute, t.residency,
         encode(t.end_user_key, 'hex') AS end_user_key
       FROM api_keys k JOIN tenants t ON t.id = k.tenant_id
       WHERE k.hash = $1 AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())`,
      [hash],
    )
    const row = rows[0]
    return (
      row && {
        keyId: row.id,
        tenantId: row.tenant_id,
        projectId: row.project_id,
        role: row.role,
        requestsPerMinute: row.requests_per_minute,
        tokensPerMinute: row.tokens_per_minute,
        residency: row.residency,
        endUserKey: row.end_user_key,
      }
    )
  }

  async #writeUsed(): Promise<void> {
    const ids = [...this.#used]
    if (ids.length === 0) return
    this.#used = new Set()
    await this.#db
      .query('UPDATE api_keys SET last_used_at = now() WHERE id = ANY($1)', [ids])
      .catch((err: unknown) => this.#logger.warn({ reason: describeError(err) }, 'last use of keys not written'))
  }
}

function keyIn(authorization: string | undefined): string | undefined {
  return /^Bearer\s+(\S+)\s*$/i.exec(authorization ?? '')?.[1]
}

function nameOf(hash: Buffer): string {
  return hash.toString('latin1')
}

function mask(key: string): string {
  return key.length < 12 ? '*'.repeat(key.length) : `${key.slice(0, 3)}${'*'.repeat(8)}${key.slice(-4)}`
}
