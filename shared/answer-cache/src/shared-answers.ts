import type { Running } from '@forebay/kernel'
import type { Answer } from './answer.ts'

/** What a look at the shared cache found: an answer; nothing, and the right to compute it; or that another computes it. */
export type Claim = { kind: 'answer'; answer: Answer } | { kind: 'lead' } | { kind: 'follow' }

/** Which entry: `id` is the key's hash, under its tenant so that a tenant's entries can be found again. */
export interface EntryName {
  tenantId: string
  id: string
}

/** Answers that all gateways share. Every method rejects when the store cannot be reached; a cache goes on without it. */
export interface SharedAnswers extends Running {
  /**
   * In one round trip: the answer if there is one; else the right to compute it, held under `token` for `leaseMs`;
   * else that somebody holds that right.
   */
  claim(entry: EntryName, options: { token: string; leaseMs: number }): Promise<Claim>
  /** Keeps the right for another `leaseMs`, unless it was lost. */
  renew(entry: EntryName, options: { token: string; leaseMs: number }): Promise<void>
  /** Stores an answer for `ttlMs`, and gives the right up. */
  put(entry: EntryName, answer: Answer, options: { token: string; ttlMs: number }): Promise<void>
  /** Gives the right up without an answer, so that the next may compute it. */
  release(entry: EntryName, options: { token: string }): Promise<void>
  /** Deletes all answers of a tenant that were there when it was called. */
  eraseTenant(tenantId: string): Promise<void>
}
