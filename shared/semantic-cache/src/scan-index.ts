import type { Answer } from '@forebay/answer-cache'
import type { Clock } from '@forebay/kernel'
import type { AnswerIndex, IndexedAnswer } from './answer-index.ts'
import { nextTurn } from './turns.ts'

interface Slot {
  tenantId: string
  question: string
  answer: Answer
  bytes: number
  untilMs: number
  /** Its place in the bucket. */
  at: number
}

interface Candidate {
  slot: Slot
  similarity: number
}

interface Bucket {
  hardKey: string
  dimensions: number
  /** One vector after the other, in the order of the slots. */
  vectors: Float32Array
  slots: Slot[]
}

// Of all vectors of a slice: as many multiplications, a millisecond at most where memory is not in the way.
const sliceNumbers = 131_072
const scansMax = 3

/**
 * An index in this process: every vector of the hard key is compared, so a lookup takes time with their number. It does
 * so in slices, of which one runs in a turn of the event loop, so that a long lookup does not hold up the process. It
 * holds at most `bytesMax` of vectors and texts; beyond that the oldest goes. Nothing of it outlives the process.
 */
export function makeScanIndex(options: {
  clock: Clock
  ttlMs: number
  bytesMax: number
}): AnswerIndex & { readonly entries: number } {
  const { bytesMax, clock, ttlMs } = options
  const buckets = new Map<string, Bucket>()
  // By age: a Map keeps the order in which slots came.
  const ages = new Map<Slot, Bucket>()
  let bytes = 0

  const remove = (slot: Slot, bucket: Bucket) => {
    const { at } = slot
    const last = bucket.slots.length - 1
    const { dimensions, vectors } = bucket
    vectors.copyWithin(at * dimensions, last * dimensions, (last + 1) * dimensions)
    const moved = bucket.slots[last] ?? slot
    moved.at = at
    bucket.slots[at] = moved
    bucket.slots.pop()
    ages.delete(slot)
    bytes -= slot.bytes
    if (bucket.slots.length === 0) buckets.delete(bucket.hardKey)
  }
  const bucketFor = ({ hardKey, vector }: IndexedAnswer): Bucket => {
    const known = buckets.get(hardKey)
    if (known?.dimensions === vector.length) return known
    // The embeddings model was changed: its vectors cannot be compared with the old ones.
    if (known) for (const slot of [...known.slots]) remove(slot, known)
    const fresh = { hardKey, dimensions: vector.length, vectors: new Float32Array(vector.length * 4), slots: [] }
    buckets.set(hardKey, fresh)
    return fresh
  }
  return {
    get entries() {
      return ages.size
    },
    nearest: async ({ hardKey, vector, count }) => {
      const bucket = buckets.get(hardKey)
      if (!bucket || bucket.dimensions !== vector.length) return []
      for (let scans = 1; ; scans++) {
        const best = await scan(bucket, { vector, count, nowMs: clock.now() })
        const kept = best.filter(({ slot }) => ages.has(slot))
        // What was erased while others were compared has pushed some of those out.
        if (kept.length < best.length && scans < scansMax) continue
        return kept.map(({ similarity, slot: { answer, question } }) => ({ question, answer, similarity }))
      }
    },
    add: async (entry) => {
      const size = entry.vector.byteLength + 2 * entry.question.length + Buffer.byteLength(entry.answer.text) + 512
      if (size > bytesMax) return
      const bucket = bucketFor(entry)
      const { dimensions } = bucket
      const end = bucket.slots.length * dimensions
      if (end + dimensions > bucket.vectors.length) {
        const grown = new Float32Array(bucket.vectors.length * 2)
        grown.set(bucket.vectors)
        bucket.vectors = grown
      }
      bucket.vectors.set(entry.vector, end)
      const { tenantId, question, answer } = entry
      const untilMs = answer.storedAtMs + Math.min(ttlMs, entry.ttlMs ?? ttlMs)
      const slot = { tenantId, question, answer, bytes: size, untilMs, at: bucket.slots.length }
      bucket.slots.push(slot)
      ages.set(slot, bucket)
      bytes += size
      for (const [oldest, home] of ages) {
        if (bytes <= bytesMax) break
        remove(oldest, home)
      }
    },
    eraseTenant: async (tenantId) => {
      for (const [slot, bucket] of [...ages]) if (slot.tenantId === tenantId) remove(slot, bucket)
    },
    expire: async () => {
      const nowMs = clock.now()
      for (const [slot, bucket] of [...ages]) if (slot.untilMs <= nowMs) remove(slot, bucket)
    },
    stop: async () => {},
  }
}

/**
 * The `count` slots with the greatest dot product that are not past their time, nearest first. From the last to the
 * first: a slot that is moved meanwhile, into the place of one that goes, moves down, so none is passed over; one that is
 * seen a second time is taken once.
 */
async function scan(
  bucket: Bucket,
  { count, nowMs, vector }: { vector: Float32Array; count: number; nowMs: number },
): Promise<Candidate[]> {
  const best: Candidate[] = []
  let least = Number.NEGATIVE_INFINITY
  const dimensions = vector.length
  const sliceSlots = Math.max(1, Math.floor(sliceNumbers / dimensions))
  for (let at = bucket.slots.length; at > 0; ) {
    const { slots, vectors } = bucket
    const end = Math.max(0, at - sliceSlots)
    while (--at >= end) {
      const similarity = dot(vectors, at * dimensions, vector)
      if (similarity <= least && best.length === count) continue
      const slot = slots[at]
      if (!slot || slot.untilMs <= nowMs || best.some((one) => one.slot === slot)) continue
      best.push({ slot, similarity })
      best.sort((a, b) => b.similarity - a.similarity)
      if (best.length > count) best.pop()
      least = best.at(-1)?.similarity ?? Number.NEGATIVE_INFINITY
    }
    if (end === 0) break
    await nextTurn()
    at = Math.min(end, bucket.slots.length)
  }
  return best
}

/** Four sums side by side: the processor need not wait for one addition to begin the next. */
function dot(vectors: Float32Array, from: number, vector: Float32Array): number {
  const whole = vector.length & ~3
  let a = 0
  let b = 0
  let c = 0
  let d = 0
  let i = 0
  for (; i < whole; i += 4) {
    a += (vectors[from + i] as number) * (vector[i] as number)
    b += (vectors[from + i + 1] as number) * (vector[i + 1] as number)
    c += (vectors[from + i + 2] as number) * (vector[i + 2] as number)
    d += (vectors[from + i + 3] as number) * (vector[i + 3] as number)
  }
  for (; i < vector.length; i++) a += (vectors[from + i] as number) * (vector[i] as number)
  return a + b + c + d
}
