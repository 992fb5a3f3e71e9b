import type { Clock } from '@forebay/kernel'
import { field } from '../engine/outcome.ts'
import { type MetadataClient, unexpected } from './metadata-client.ts'
import type { SpotSource } from './notice.ts'

/** Where every EC2 instance finds it. */
export const awsMetadataUrl = 'http://169.254.169.254'

const tokenPath = '/latest/api/token'
const actionPath = '/latest/meta-data/spot/instance-action'
const rebalancePath = '/latest/meta-data/events/recommendations/rebalance'
const tokenTtlS = 21_600
// The notice comes two minutes ahead.
const noticeMs = 120_000

/** EC2: the interruption notice and the rebalance recommendation, over version 2 of the metadata service. */
export function makeAwsSource(options: { client: Pick<MetadataClient, 'ask'>; clock: Clock }): SpotSource {
  const { client, clock } = options
  let token: { value: string; untilMs: number } | undefined

  async function tokenNow(signal: AbortSignal): Promise<string> {
    if (token && clock.now() < token.untilMs) return token.value
    const headers = { 'x-aws-ec2-metadata-token-ttl-seconds': String(tokenTtlS) }
    const reply = await client.ask({ method: 'PUT', path: tokenPath, headers }, signal)
    if (reply.status !== 200 || reply.text === '') throw unexpected(tokenPath, reply)
    // Renewed at half its life: a clock that runs slow must not outlive it.
    token = { value: reply.text, untilMs: clock.now() + (tokenTtlS * 1000) / 2 }
    return reply.text
  }

  /** The JSON at a path; undefined while there is none. */
  async function read(path: string, signal: AbortSignal): Promise<unknown> {
    for (let tries = 1; ; tries++) {
      const headers = { 'x-aws-ec2-metadata-token': await tokenNow(signal) }
      const reply = await client.ask({ path, headers }, signal)
      if (reply.status === 404) return undefined
      if (reply.status === 200) return JSON.parse(reply.text)
      // The instance was stopped and started, or its clock jumped: a fresh token is given at once.
      token = undefined
      if (reply.status !== 401 || tries === 2) throw unexpected(path, reply)
    }
  }

  return {
    cloud: 'aws',
    pollMs: 5_000,
    async look(signal) {
      const action = await read(actionPath, signal)
      if (action !== undefined) {
        const what = String(field(action, 'action'))
        const byMs = timeOf(field(action, 'time'))
        // Hibernation begins with its notice.
        return { kind: 'end', cloud: 'aws', what, byMs: byMs ?? clock.now() + (what === 'hibernate' ? 0 : noticeMs) }
      }
      const rebalance = await read(rebalancePath, signal)
      if (rebalance === undefined) return undefined
      const atMs = timeOf(field(rebalance, 'noticeTime')) ?? clock.now()
      return { kind: 'risk', cloud: 'aws', what: 'rebalance recommendation', atMs }
    },
    acknowledge: async () => {},
  }
}

function timeOf(value: unknown): number | undefined {
  const ms = typeof value === 'string' ? Date.parse(value) : Number.NaN
  return Number.isNaN(ms) ? undefined : ms
}
