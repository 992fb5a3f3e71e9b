import { EngineModel, type EngineRequest, profiles } from '@forebay/engine-model'

/**
 * Requests a second that the simulator's own model gives a closed loop in its own time, with no server, no network and
 * no machine in the way: the middle eight tenths, times `speed`.
 */
export function modelledRate(options: {
  profile: 'h100-llama-3.1-8b'
  seats: number
  speed: number
  concurrency: number
  ended: readonly { promptTokens: number; completionTokens: number }[]
}): number {
  const { concurrency, ended } = options
  const model = new EngineModel(profiles[options.profile], { maxNumSeqs: options.seats })
  const add = (at: number) => {
    const next = ended[at]
    if (next === undefined) return
    const request: EngineRequest = { id: `${at}`, promptTokens: next.promptTokens, outputTokens: next.completionTokens }
    model.add(request)
  }
  let added = 0
  while (added < Math.min(concurrency, ended.length)) add(added++)
  const [from, to] = [Math.floor(0.1 * ended.length), Math.floor(0.9 * ended.length)]
  let [nowMs, fromMs, done] = [0, 0, 0]
  while (done < to) {
    const { durationMs, finished } = model.step()
    nowMs += durationMs
    if (done <= from) fromMs = nowMs
    done += finished.length
    for (let i = 0; i < finished.length; i++) add(added++)
  }
  return (((to - from) * 1000) / (nowMs - fromMs)) * options.speed
}
