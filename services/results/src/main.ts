import { runService } from '@forebay/service-process'
import { startResults } from './start-results.ts'

await runService({
  name: 'results',
  env: process.env,
  async start(parts) {
    const db = parts.openDatabase()
    let consuming = false
    const ready = async () => {
      await db.query('SELECT 1')
      return consuming ? undefined : 'the queue cannot be reached'
    }
    const ops = await parts.serveOps({ ready })
    const { pools } = await parts.openPools()
    parts.keep(await startResults({ ...parts, db, pools }))
    consuming = true
    return { opsPort: ops.port }
  },
})
