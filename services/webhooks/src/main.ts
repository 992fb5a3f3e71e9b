import { runService } from '@forebay/service-process'
import { startWebhooks } from './app.ts'

await runService({
  name: 'webhooks',
  env: process.env,
  async start(parts) {
    const db = parts.openDatabase()
    const ready = async () => {
      await db.query('SELECT 1')
      return undefined
    }
    const ops = await parts.serveOps({ ready })
    parts.keep(await startWebhooks({ ...parts, db }))
    return { opsPort: ops.port }
  },
})
