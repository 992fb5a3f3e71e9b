import type { Answer } from '@forebay/answer-cache'
import type { Running } from '@forebay/kernel'

/** An answer with the question it was computed for. */
export interface IndexedAnswer {
  tenantId: string
  /** Hash of everything that must be equal. */
  hardKey: string
  question: string
  vector: Float32Array
  answer: Answer
  /** It is kept for no longer than this, where it is less than what the index keeps. */
  ttlMs?: number | undefined
}

/** An answer close to what was asked. */
export interface Near {
  question: string
  answer: Answer
  /** Cosine of the two questions' vectors. */
  similarity: number
}

/** Answers to be found by their questions' vectors, within one hard key. */
export interface AnswerIndex extends Running {
  /** Up to `count` answers stored no longer ago than the index keeps them, nearest first. */
  nearest(options: { hardKey: string; vector: Float32Array; count: number }): Promise<Near[]>
  add(entry: IndexedAnswer): Promise<void>
  /** Deletes a tenant's answers. */
  eraseTenant(tenantId: string): Promise<void>
  /** Deletes what is older than it is kept. */
  expire(): Promise<void>
}
