import { mkdirSync, writeFileSync } from 'node:fs'
import { Session } from 'node:inspector'
import { basename, dirname, join } from 'node:path'

// Loaded into every process under measurement by --profile FOLDER: leaves a CPU profile there when the process ends.
const folder = process.env['BENCH_PROFILE']
if (folder !== undefined) {
  const session = new Session()
  session.connect()
  session.post('Profiler.enable')
  session.post('Profiler.setSamplingInterval', { interval: 500 })
  session.post('Profiler.start')
  process.on('exit', () => {
    session.post('Profiler.stop', (err, result) => {
      if (err) return
      mkdirSync(folder, { recursive: true })
      const what = basename(dirname(dirname(process.argv[1] ?? '')))
      writeFileSync(join(folder, `${what}-${process.pid}.cpuprofile`), JSON.stringify(result.profile))
    })
  })
}
