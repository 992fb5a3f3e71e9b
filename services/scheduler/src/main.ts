import { reportFaults } from '@forebay/pools'
import { runService } from '@forebay/service-process'
import { startScheduler } from './scheduler.ts'

await runService({
  name: 'scheduler',
  env: process.env,
  async start(parts) {
    const db = parts.openDatabase()
    const bus = parts.openReplyBus()
    const { blobs, pools } = await parts.openPools()
    await blobs.check()
    void reportFaults({ pools, logger: parts.logger })
    const ready = async () => {
      const reachable = await db.query('SELECT 1').then(
        () => undefined,
        () => 'the database cannot be reached',
      )
      return reachable ?? bus.trouble()
    }
    const ops = await parts.serveOps({ ready })
    parts.keep(await startScheduler({ ...parts, db, blobs, pools, bus }))
    return { opsPort: ops.port }
  },
})
