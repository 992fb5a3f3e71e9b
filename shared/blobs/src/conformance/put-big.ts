import { openBlobs } from '../open-blobs.ts'

// A process of its own, so that its memory is the driver's and nobody else's: `put-big.ts <BLOB_URL> <key> <bytes>`.
const [url = '', key = '', size = '0'] = process.argv.slice(2)
const blobs = openBlobs({ url })
await blobs.check()

const before = process.memoryUsage.rss()
let peak = before
async function* source() {
  for (let left = Number(size); left > 0; left -= 65_536) {
    peak = Math.max(peak, process.memoryUsage.rss())
    yield Buffer.alloc(Math.min(left, 65_536), left % 251)
  }
}
const { bytes } = await blobs.put(key, source())
peak = Math.max(peak, process.memoryUsage.rss())
process.stdout.write(JSON.stringify({ bytes, grownBytes: peak - before }))
