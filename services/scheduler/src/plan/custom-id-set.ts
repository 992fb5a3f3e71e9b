import { hash } from 'node:crypto'

/**
 * A set of strings kept as 128-bit hashes in typed arrays: 24 to 48 bytes a string, out of the garbage collector's
 * sight, so that a million custom ids cost tens of megabytes however long they are.
 */
export class CustomIdSet {
  #hashes = new Uint32Array(4 * 1024)
  /** Open addressing: position in `hashes` plus one, 0 when free. At most half full. */
  #slots = new Uint32Array(2048)
  #size = 0

  /** Adds a string; false when it is there already. */
  add(text: string): boolean {
    const digest = hash('sha256', text, 'buffer')
    const words: Words = [
      digest.readUInt32LE(0),
      digest.readUInt32LE(4),
      digest.readUInt32LE(8),
      digest.readUInt32LE(12),
    ]
    const slot = this.#find(words)
    if (this.#slots[slot] !== 0) return false
    if (this.#size * 4 === this.#hashes.length) this.#hashes = grow(this.#hashes)
    this.#hashes.set(words, this.#size * 4)
    this.#slots[slot] = ++this.#size
    if (this.#size * 2 > this.#slots.length) this.#rehash()
    return true
  }

  #find(words: Words): number {
    const mask = this.#slots.length - 1
    let slot = words[0] & mask
    for (; ; slot = (slot + 1) & mask) {
      const position = this.#slots[slot] ?? 0
      if (position === 0 || this.#holds(position - 1, words)) return slot
    }
  }

  #holds(position: number, words: Words): boolean {
    const at = position * 4
    const hashes = this.#hashes
    return (
      hashes[at] === words[0] &&
      hashes[at + 1] === words[1] &&
      hashes[at + 2] === words[2] &&
      hashes[at + 3] === words[3]
    )
  }

  #rehash(): void {
    const slots = new Uint32Array(this.#slots.length * 2)
    const mask = slots.length - 1
    for (let position = 0; position < this.#size; position++) {
      let slot = (this.#hashes[position * 4] ?? 0) & mask
      while (slots[slot] !== 0) slot = (slot + 1) & mask
      slots[slot] = position + 1
    }
    this.#slots = slots
  }
}

type Words = [number, number, number, number]

function grow(array: Uint32Array<ArrayBuffer>): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(array.length * 2)
  larger.set(array)
  return larger
}
