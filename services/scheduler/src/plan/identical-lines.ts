import { setImmediate as breathe } from 'node:timers/promises'

const startEntries = 1024
const breatheEvery = 0x3fff

/**
 * Which requests of a batch are the same: 64 bits of each body's digest are kept, 8 bytes a request. Two bodies whose 64
 * bits agree by chance are taken for the same here; the worker, who has the bytes, compares them before it lets one
 * answer serve both.
 */
export class IdenticalLines {
  #digests = new Uint32Array(0)
  #known = 0

  /** Notes the digest of the request at `index`. Requests that may not share an answer are not noted. */
  note(index: number, digest: Buffer): void {
    if (index * 2 >= this.#digests.length) {
      const larger = new Uint32Array(Math.max(startEntries, 2 ** Math.ceil(Math.log2(index + 1))) * 2)
      larger.set(this.#digests)
      this.#digests = larger
    }
    this.#digests[index * 2] = digest.readUInt32LE(0)
    // Zero is for requests that were not noted.
    this.#digests[index * 2 + 1] = digest.readUInt32LE(4) || 1
    this.#known++
  }

  /** For each of `count` requests the first that is the same, which is itself for most; undefined when all differ. */
  async leaders(count: number): Promise<Uint32Array | undefined> {
    if (this.#known < 2) return undefined
    const digests = this.#digests
    const slots = new Uint32Array(2 ** Math.ceil(Math.log2(this.#known * 2)))
    const mask = slots.length - 1
    let leaders: Uint32Array | undefined
    for (let i = 0; i < count; i++) {
      if ((i & breatheEvery) === breatheEvery) await breathe()
      const [low, high] = [digests[i * 2] ?? 0, digests[i * 2 + 1] ?? 0]
      if (high === 0) continue
      let slot = low & mask
      for (; slots[slot] !== 0; slot = (slot + 1) & mask) {
        const other = (slots[slot] ?? 0) - 1
        if (digests[other * 2] !== low || digests[other * 2 + 1] !== high) continue
        leaders ??= countUp(count)
        leaders[i] = other
        break
      }
      if (slots[slot] === 0) slots[slot] = i + 1
    }
    return leaders
  }
}

/** 0, 1, 2, … below `count`. */
export function countUp(count: number): Uint32Array {
  const numbers = new Uint32Array(count)
  for (let i = 0; i < count; i++) numbers[i] = i
  return numbers
}
