import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { blobKeys, lanes, queueName } from '@forebay/contracts'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { pubsubNames } from '../../../shared/queue/pubsub/src/names.ts'
import { sqsNames } from '../../../shared/queue/sqs/src/names.ts'
import { root, text } from './files.ts'

/* What a worker may do, against the names that the drivers give its queues. */
const values: Record<string, string> = {
  REGION: 'eu-central-1',
  ACCOUNT: '123456789012',
  PREFIX: 'forebay',
  POOL: 'h100-eu',
  BUCKET: 'bucket',
  BLOB_PREFIX: 'blobs',
  PROJECT: 'project',
  MEMBER: 'serviceAccount:worker@project.iam.gserviceaccount.com',
  SUBSCRIPTION: 'sub',
  GROUP: 'group',
  NAMESPACE: 'namespace',
  STORAGE_ACCOUNT: 'account',
  CONTAINER: 'container',
  PRINCIPAL: '00000000-0000-0000-0000-000000000001',
}
const laneNames = lanes.map((lane) => queueName('h100-eu', lane))
const results = queueName('h100-eu', 'results')

interface Statement {
  Sid: string
  Action: string[]
  Resource: string[]
}
function awsStatements(path: string): Statement[] {
  const filled = text(path).replaceAll(/@(\w+)@/g, (_, name: string) => values[name] ?? `unknown ${name}`)
  return JSON.parse(filled).Statement
}
const globMatches = (glob: string, name: string) =>
  new RegExp(`^${glob.replaceAll(/[.+?^$()|[\]\\{}]/g, '\\$&').replaceAll('*', '.*')}$`).test(name)
const allowed = (statements: Statement[], action: string, arn: string) =>
  statements.some((s) => s.Action.includes(action) && s.Resource.some((resource) => globMatches(resource, arn)))

/** The calls a script makes of the vendor's command, one line each, by a stand-in that writes them down. */
function callsOf(script: string, command: string): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'forebay-policies-'))
  try {
    const log = join(folder, 'log')
    writeFileSync(log, '')
    writeFileSync(
      join(folder, command),
      `#!/bin/sh\nprintf '%s ' "$@" | tr '\\n' ' ' >> '${log}'; echo >> '${log}'; echo 42\n`,
    )
    chmodSync(join(folder, command), 0o755)
    execFileSync('bash', [join(root, script)], { env: { ...values, PATH: `${folder}:/usr/bin:/bin` }, stdio: 'pipe' })
    return readFileSync(log, 'utf8').trim().split('\n')
  } finally {
    rmSync(folder, { recursive: true })
  }
}

describe('policies on AWS', () => {
  const worker = awsStatements('deploy/policies/aws/worker.json')
  const control = awsStatements('deploy/policies/aws/control-plane.json')
  const sqs = (name: string) => `arn:aws:sqs:eu-central-1:123456789012:${name}`
  const names = (name: string) => sqsNames('forebay', name)
  const s3 = (key: string) => `arn:aws:s3:::bucket/blobs/${key}`

  it('let a worker take from its lanes and send to its results queue, by the names the driver gives them', () => {
    for (const lane of laneNames) {
      for (const action of ['GetQueueUrl', 'ReceiveMessage', 'DeleteMessage', 'ChangeMessageVisibility'])
        expect(allowed(worker, `sqs:${action}`, sqs(names(lane).queue)), lane).toBe(true)
      expect(allowed(worker, 'sqs:SendMessage', sqs(names(lane).dead)), lane).toBe(true)
      expect(allowed(worker, 'sqs:SendMessage', sqs(names(lane).queue)), lane).toBe(false)
    }
    expect(allowed(worker, 'sqs:SendMessage', sqs(names(results).queue))).toBe(true)
    expect(allowed(worker, 'sqs:ReceiveMessage', sqs(names(results).queue))).toBe(false)
    // The driver looks up both before it uses one.
    for (const name of [...laneNames, results])
      for (const each of Object.values(names(name))) expect(allowed(worker, 'sqs:GetQueueUrl', sqs(each))).toBe(true)
  })

  it("keep a worker from other pools' queues, also of a pool whose name begins with its own", () => {
    for (const pool of ['default', 'h100-eu-2', 'h100'])
      for (const name of [...lanes, 'results'] as const)
        for (const action of new Set(worker.flatMap((s) => s.Action)))
          for (const each of Object.values(names(queueName(pool, name))))
            expect(allowed(worker, action, sqs(each))).toBe(false)
  })

  it('let a worker write parts and bodies, and nothing else of a tenant', () => {
    expect(allowed(worker, 's3:PutObject', s3(blobKeys.part('t', 'b', 'p')))).toBe(true)
    expect(allowed(worker, 's3:PutObject', s3('queue/x'))).toBe(true)
    for (const key of [blobKeys.file('t', 'f'), blobKeys.staged('t', 'b', 1, 1), blobKeys.cancelled('t', 'b')]) {
      expect(allowed(worker, 's3:GetObject', s3(key)), key).toBe(true)
      expect(allowed(worker, 's3:PutObject', s3(key)), key).toBe(false)
      expect(allowed(worker, 's3:DeleteObject', s3(key)), key).toBe(false)
    }
    expect(allowed(worker, 's3:GetObject', 'arn:aws:s3:::bucket/other/tenants/t')).toBe(false)
  })

  it('give the control plane its own prefix and no other', () => {
    expect(allowed(control, 'sqs:CreateQueue', sqs(names('any.batch').dead))).toBe(true)
    expect(allowed(control, 'sqs:SendMessage', sqs(sqsNames('other', 'any.batch').queue))).toBe(false)
    expect(
      [...worker, ...control].flatMap((s) => [...s.Action, ...s.Resource]).filter((word) => /^\*$|:\*$/.test(word)),
    ).toEqual([])
  })
})

describe('policies on Google Cloud', () => {
  const full = (name: string) => pubsubNames({ project: 'project', prefix: 'forebay', name })
  const id = (path: string) => path.split('/').at(-1) ?? ''
  const granted = callsOf('deploy/policies/gcp/grant-worker.sh', 'gcloud')

  it('let a worker take from its lanes and send to results and dead letters, by the names the driver gives them', () => {
    const pubsub = granted.flatMap(
      (call) =>
        /^pubsub (\w+) add-iam-policy-binding (\S+) .*roles\/forebay_(\w+)/.exec(call)?.slice(1).join(' ') ?? [],
    )
    expect(pubsub.sort()).toEqual(
      [
        ...laneNames.flatMap((lane) => [
          `subscriptions ${id(full(lane).subscription)} consumer`,
          `topics ${id(full(lane).deadTopic)} publisher`,
        ]),
        `topics ${id(full(results).topic)} publisher`,
      ].sort(),
    )
  })

  it('bind its blobs to the prefix, and nothing to the project', () => {
    expect(granted.filter((call) => call.startsWith('projects '))).toEqual([])
    expect(granted.filter((call) => call.startsWith('storage '))).toEqual([
      expect.stringContaining('resource.name.startsWith("projects/_/buckets/bucket/objects/blobs/tenants/")'),
    ])
  })

  it('are roles of single permissions, none of which changes a policy', () => {
    for (const role of ['consumer', 'publisher', 'worker-blobs', 'control-plane']) {
      const { includedPermissions } = parse(text(`deploy/policies/gcp/${role}-role.yaml`))
      expect(includedPermissions.length).toBeGreaterThan(0)
      for (const permission of includedPermissions)
        expect(permission).toMatch(/^(pubsub|storage|monitoring)\.\w+\.(?!setIam|\*)\w+$/)
    }
    expect(callsOf('deploy/policies/gcp/grant-control-plane.sh', 'gcloud').join('\n')).toContain(
      'service-42@gcp-sa-pubsub',
    )
  })
})

describe('policies on Azure', () => {
  const granted = callsOf('deploy/policies/azure/grant-worker.sh', 'az')

  it('let a worker listen on its lanes and send to its results queue, each queue by itself', () => {
    const bus = granted.flatMap(
      (call) => /--role (.*) --scope \S+\/queues\/(\S+)/.exec(call)?.slice(1).join(': ') ?? [],
    )
    expect(bus.sort()).toEqual(
      [
        ...laneNames.flatMap((lane) => [
          `Azure Service Bus Data Receiver: forebay.${lane}`,
          `Azure Service Bus Data Sender: forebay.${lane}`,
        ]),
        `Azure Service Bus Data Sender: forebay.${results}`,
      ].sort(),
    )
  })

  it('bind its blobs to the prefix', () => {
    const blobs = granted.filter((call) => call.includes('Microsoft.Storage'))
    expect(blobs).toHaveLength(1)
    expect(blobs[0]).toContain("StringLike 'blobs/tenants/*'")
    expect(callsOf('deploy/policies/azure/grant-control-plane.sh', 'az').at(-1)).toContain("StringLike 'blobs/*'")
  })
})
