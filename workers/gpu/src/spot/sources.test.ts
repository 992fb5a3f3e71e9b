import { ManualClock } from '@forebay/kernel'
import { eventually } from '@forebay/test-support'
import { afterEach, describe, expect, it } from 'vitest'
import { startAwsStandIn, startMetadataStandIn } from '../testing/metadata-stand-in.ts'
import { chooseSpotSource } from './choose-source.ts'
import type { SpotCloud } from './notice.ts'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})
const { signal } = new AbortController()

async function sourceAt(standIn: { url: string; stop: () => Promise<void> }, cloud: SpotCloud | 'auto') {
  cleanups.push(() => standIn.stop())
  const clock = new ManualClock(Date.parse('2026-01-05T10:00:00Z'))
  const source = await chooseSpotSource({ cloud, url: standIn.url, clock, signal })
  if (source) cleanups.push(() => source.stop())
  return { clock, source }
}

describe('aws', () => {
  it('says nothing while there is no notice, asking with one token, and the time of the notice when there is', async () => {
    const aws = await startAwsStandIn()
    const { source } = await sourceAt(aws, 'aws')
    expect(await source?.look(signal)).toBeUndefined()
    expect(await source?.look(signal)).toBeUndefined()
    expect(aws.calls.filter(({ method }) => method === 'PUT')).toHaveLength(1)
    aws.now.action = { action: 'terminate', time: '2026-01-05T10:02:00Z' }
    expect(await source?.look(signal)).toEqual({
      kind: 'end',
      cloud: 'aws',
      what: 'terminate',
      byMs: Date.parse('2026-01-05T10:02:00Z'),
    })
  })

  it('asks for another token when the one it has is refused or half used up', async () => {
    const aws = await startAwsStandIn()
    const { clock, source } = await sourceAt(aws, 'aws')
    await source?.look(signal)
    aws.forgetToken()
    expect(await source?.look(signal)).toBeUndefined()
    await clock.advance(4 * 3_600_000)
    await source?.look(signal)
    expect(aws.calls.filter(({ method }) => method === 'PUT')).toHaveLength(3)
  })

  it('tells a rebalance recommendation as a risk, and the notice before it', async () => {
    const aws = await startAwsStandIn({ rebalance: { noticeTime: '2026-01-05T09:59:00Z' } })
    const { source } = await sourceAt(aws, 'aws')
    expect(await source?.look(signal)).toMatchObject({ kind: 'risk', atMs: Date.parse('2026-01-05T09:59:00Z') })
    aws.now.action = { action: 'stop', time: '2026-01-05T10:02:00Z' }
    expect(await source?.look(signal)).toMatchObject({ kind: 'end', what: 'stop' })
  })

  it('gives a hibernation no time, and rejects when the service fails', async () => {
    const aws = await startAwsStandIn({ action: { action: 'hibernate' } })
    const { clock, source } = await sourceAt(aws, 'aws')
    expect(await source?.look(signal)).toMatchObject({ kind: 'end', byMs: clock.now() })
    const broken = await startMetadataStandIn((_, res) => res.writeHead(500).end())
    const { source: other } = await sourceAt(broken, 'aws')
    await expect(other?.look(signal)).rejects.toMatchObject({ code: 'unavailable' })
  })
})

describe('gcp', () => {
  it('asks once, then waits for the change from what it saw, and has 30 seconds from then', async () => {
    const waiting: (() => void)[] = []
    const gcp = await startMetadataStandIn(({ headers, path }, res) => {
      if (headers['metadata-flavor'] !== 'Google') return res.writeHead(403).end()
      if (!path.startsWith('/computeMetadata/v1/instance/preempted')) return res.writeHead(404).end()
      if (!path.includes('wait_for_change=true')) return res.setHeader('etag', 'e1').end('FALSE')
      waiting.push(() => res.setHeader('etag', 'e2').end('TRUE'))
    })
    const { clock, source } = await sourceAt(gcp, 'gcp')
    expect(await source?.look(signal)).toBeUndefined()
    const second = source?.look(signal)
    await eventually(() => waiting.length === 1, { what: 'the waiting question' })
    expect(gcp.calls[1]?.path).toContain('last_etag=e1')
    waiting[0]?.()
    expect(await second).toEqual({ kind: 'end', cloud: 'gcp', what: 'preempted', byMs: clock.now() + 30_000 })
  })
})

describe('azure', () => {
  const preempt = (names: string[], fields: object = {}) => ({
    DocumentIncarnation: 2,
    Events: [
      { EventId: 'A-1', EventType: 'Reboot', Resources: names, EventStatus: 'Scheduled', NotBefore: '' },
      {
        EventId: 'A-2',
        EventType: 'Preempt',
        ResourceType: 'VirtualMachine',
        Resources: names,
        EventStatus: 'Scheduled',
        NotBefore: 'Mon, 05 Jan 2026 10:00:40 GMT',
        ...fields,
      },
    ],
  })
  const azure = (events: () => object, name: string | undefined = 'gpu_3') =>
    startMetadataStandIn(({ headers, method, path }, res) => {
      if (headers['metadata'] !== 'true') return res.writeHead(400).end()
      if (path.startsWith('/metadata/instance/compute/name')) return res.writeHead(name ? 200 : 404).end(name)
      if (!path.startsWith('/metadata/scheduledevents?api-version=2020-07-01')) return res.writeHead(404).end()
      res.end(method === 'POST' ? '' : JSON.stringify(events()))
    })

  it('tells a Preempt event for this VM with its time, and acknowledges it when asked to', async () => {
    let events: object = { DocumentIncarnation: 1, Events: [] }
    const service = await azure(() => events)
    const { source } = await sourceAt(service, 'azure')
    expect(await source?.look(signal)).toBeUndefined()
    events = preempt(['gpu_1', 'gpu_3'])
    const notice = { kind: 'end', cloud: 'azure', what: 'Preempt', byMs: Date.parse('2026-01-05T10:00:40Z') }
    expect(await source?.look(signal)).toEqual(notice)
    await source?.acknowledge(signal)
    const posts = service.calls.filter(({ method }) => method === 'POST')
    expect(posts.map(({ body }) => JSON.parse(body))).toEqual([{ StartRequests: [{ EventId: 'A-2' }] }])
  })

  it("leaves other VMs' events alone, and gives an event without a time 30 seconds from when it was first seen", async () => {
    let events = preempt(['gpu_1'])
    const service = await azure(() => events)
    const { clock, source } = await sourceAt(service, 'azure')
    expect(await source?.look(signal)).toBeUndefined()
    events = preempt(['gpu_3'], { NotBefore: '' })
    const byMs = clock.now() + 30_000
    expect(await source?.look(signal)).toMatchObject({ byMs })
    await clock.advance(5_000)
    expect(await source?.look(signal)).toMatchObject({ byMs })
  })

  it('takes an event for its own when it does not know its name, but does not hasten it', async () => {
    const service = await azure(() => preempt(['gpu_1']), '')
    const { source } = await sourceAt(service, 'azure')
    expect(await source?.look(signal)).toMatchObject({ kind: 'end' })
    await source?.acknowledge(signal)
    expect(service.calls.filter(({ method }) => method === 'POST')).toEqual([])
  })
})

it('finds out by itself which cloud it is on, and that it is on none', async () => {
  const { source: onAws } = await sourceAt(await startAwsStandIn(), 'auto')
  expect(onAws?.cloud).toBe('aws')
  const gcp = await startMetadataStandIn(({ path }, res) => {
    if (path !== '/computeMetadata/v1/instance/id') return res.writeHead(404).end()
    res.setHeader('metadata-flavor', 'Google').end('123')
  })
  expect((await sourceAt(gcp, 'auto')).source?.cloud).toBe('gcp')
  const none = await startMetadataStandIn((_, res) => res.writeHead(404).end())
  expect((await sourceAt(none, 'auto')).source).toBeUndefined()
})
