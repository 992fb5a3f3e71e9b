import { runService } from '@forebay/service-process'
import { startGateway } from './start-gateway.ts'

await runService({
  name: 'gateway',
  env: process.env,
  async start(parts) {
    const db = parts.openDatabase({ connectionsMax: 16 })
    const bus = parts.openReplyBus()
    const { blobs, pools } = await parts.openPools()
    const gateway = parts.keep(await startGateway({ ...parts, db, blobs, pools, bus }))
    return { url: gateway.url, port: gateway.port }
  },
})
