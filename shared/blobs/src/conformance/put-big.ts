import { openBlobs } from '../open-blobs.ts'

// A process of its own, so that its memory is the driver's and nobody else's:
// `node --expose-gc --import tsx put-big.ts <BLOB_URL> <key> <bytes>`.
const [url = '', key = '', size = '0'] = process.argv.slice(2)
const piece = 65_536
const blobs = openBlobs({ url })
await blobs.check()

/** Bytes that are still needed, not those that wait to be collected: when they are is nobody's promise. */
function heldBytes(): number {
  if (!globalThis.gc) throw new Error('Run this with --expose-gc.')
  globalThis.gc()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

const before = heldBytes()
let peak = before
async function* source() {
  for (let left = Number(size), sent = 0; left > 0; left -= piece, sent++) {
    if (sent % 64 === 0) peak = Math.max(peak, heldBytes())
    yield Buffer.alloc(Math.min(left, piece), left % 251)
  }
}
const { bytes } = await blobs.put(key, source())
process.stdout.write(JSON.stringify({ bytes, grownBytes: peak - before }))
