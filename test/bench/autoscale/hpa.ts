import type { FleetPolicy, FleetView } from './fleet.ts'

/** The behaviour of a HorizontalPodAutoscaler: how long it waits, and how fast it may go. */
interface Behaviour {
  up: { stableMs: number; percent: number; pods: number; periodMs: number }
  down: { stableMs: number; percent: number; periodMs: number }
}

/** What Kubernetes does when nothing is said. */
const usual: Behaviour = {
  up: { stableMs: 0, percent: 100, pods: 4, periodMs: 15_000 },
  down: { stableMs: 300_000, percent: 100, periodMs: 15_000 },
}
/** The behaviour block of the source documents. */
const documented: Behaviour = {
  up: { stableMs: 60_000, percent: 100, pods: 0, periodMs: 30_000 },
  down: { stableMs: 300_000, percent: 50, periodMs: 60_000 },
}
const tolerance = 0.1
const syncMs = 15_000

/**
 * HPA on CPU at 70 %. A worker's CPU is taken to follow how busy its engine is, from a tenth when idle to all of it: kinder
 * than a real engine's, which spins as soon as one request runs. Pods that are not ready count as idle when it would
 * grow, as documented.
 */
export function hpaOnCpu(): FleetPolicy {
  const limit = makeBehaviour(usual)
  const smooth = makeMean(60_000)
  return {
    name: 'hpa cpu 70 %',
    everyMs: syncMs,
    decide(view) {
      const current = view.ready + view.warming
      const cpu = smooth(view.nowMs, 0.1 + 0.9 * view.busy)
      let ratio = view.ready > 0 ? cpu / 0.7 : 1
      let wanted = current
      if (Math.abs(ratio - 1) > tolerance) {
        if (ratio > 1 && view.warming > 0) ratio = (cpu * view.ready) / current / 0.7
        wanted =
          ratio > 1 + tolerance || view.warming === 0 || ratio < 1
            ? Math.ceil(ratio * (view.warming > 0 ? current : view.ready))
            : current
        // Counting the idle newcomers must not turn growing into shrinking.
        if (view.warming > 0 && cpu / 0.7 > 1 && wanted < current) wanted = current
      }
      return limit(view.nowMs, current, Math.max(1, wanted))
    },
  }
}

/** HPA on llm_queue_length, 10 a pod, with the documents' behaviour block. */
export function hpaOnQueueLength(): FleetPolicy {
  const limit = makeBehaviour(documented)
  return {
    name: 'hpa llm_queue_length 10',
    everyMs: syncMs,
    decide: (view) => limit(view.nowMs, view.ready + view.warming, Math.max(1, perPod(view, 10))),
  }
}

/** KEDA on the number of messages, 5 a pod: polled every 30 s, to zero 300 s after the last message. */
export function kedaOnMessages(): FleetPolicy {
  const limit = makeBehaviour(usual)
  let activeMs = 0
  return {
    name: 'keda message count',
    everyMs: syncMs,
    decide(view) {
      const current = view.ready + view.warming
      const polled = view.nowMs % 30_000 === 0
      if (view.messages > 0) activeMs = view.nowMs
      if (current === 0) return polled && view.messages > 0 ? 1 : 0
      if (polled && view.messages === 0 && view.nowMs - activeMs > 300_000) return 0
      return limit(view.nowMs, current, Math.max(1, perPod(view, 5)))
    },
  }
}

/** An AverageValue target: the sum over the target, unless that is within the tolerance of what there is. */
function perPod({ messages, ready, warming }: FleetView, target: number): number {
  const current = ready + warming
  const ratio = current > 0 ? messages / (target * current) : Number.POSITIVE_INFINITY
  return Math.abs(ratio - 1) <= tolerance ? current : Math.ceil(messages / target)
}

/** The mean over a window: what the metrics server tells. */
function makeMean(windowMs: number): (nowMs: number, value: number) => number {
  let values: { atMs: number; value: number }[] = []
  return (nowMs, value) => {
    values = [...values.filter(({ atMs }) => atMs > nowMs - windowMs), { atMs: nowMs, value }]
    return values.reduce((sum, each) => sum + each.value, 0) / values.length
  }
}

/** Stabilisation windows and policies as `behavior` of autoscaling/v2 has them. */
function makeBehaviour({ down, up }: Behaviour): (nowMs: number, current: number, wanted: number) => number {
  let asked: { atMs: number; replicas: number }[] = []
  let moves: { atMs: number; by: number }[] = []
  return (nowMs, current, wanted) => {
    asked = [
      ...asked.filter(({ atMs }) => atMs > nowMs - Math.max(up.stableMs, down.stableMs)),
      { atMs: nowMs, replicas: wanted },
    ]
    const within = (ms: number) =>
      asked.filter(({ atMs }) => atMs > nowMs - ms || atMs === nowMs).map(({ replicas }) => replicas)
    const least = Math.min(...within(up.stableMs))
    const most = Math.max(...within(down.stableMs))
    const stable = current < least ? least : current > most ? most : current
    const moved = (ms: number, sign: number) =>
      moves.reduce((sum, { atMs, by }) => sum + (atMs > nowMs - ms && Math.sign(by) === sign ? Math.abs(by) : 0), 0)
    let next = stable
    if (stable > current) {
      const from = current - moved(up.periodMs, 1)
      next = Math.min(stable, Math.max(Math.ceil(from * (1 + up.percent / 100)), from + up.pods, current))
    } else if (stable < current) {
      const from = current + moved(down.periodMs, -1)
      next = Math.max(stable, Math.min(current, Math.floor(from * (1 - down.percent / 100))))
    }
    moves = [
      ...moves.filter(({ atMs }) => atMs > nowMs - 60_000),
      ...(next === current ? [] : [{ atMs: nowMs, by: next - current }]),
    ]
    return next
  }
}
