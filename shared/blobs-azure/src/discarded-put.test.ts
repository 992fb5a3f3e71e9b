import { ContainerClient, StorageSharedKeyCredential } from '@azure/storage-blob'
import { makeObjectStore } from '@forebay/blobs'
import { startAzureBlobEmulator } from '@forebay/emulators/blobs'
import { systemClock } from '@forebay/kernel'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { makeAzureBackend } from './azure-backend.ts'
import { type AzureCall, startBlocks } from './block-upload.ts'

type Emulator = Awaited<ReturnType<typeof startAzureBlobEmulator>>
let emulator: Emulator
let client: ContainerClient
beforeEach(async () => {
  emulator = await startAzureBlobEmulator({ account: 'forebay', containers: ['blobs'] })
  const key = Buffer.from('test').toString('base64')
  client = new ContainerClient(
    `http://127.0.0.1:${emulator.port}/forebay/blobs`,
    new StorageSharedKeyCredential('forebay', key),
  )
})
afterEach(() => emulator.stop())

const store = () =>
  makeObjectStore({ backend: makeAzureBackend({ client, account: 'forebay', clock: systemClock }), prefix: '' })
const piece = (text: string) => ({ number: 1, offset: 0, bytes: Buffer.from(text), last: true })

it('shows no reader the empty blob that stands for a put being given up', async () => {
  await client.getBlockBlobClient('x').commitBlockList([], { metadata: { forebaydiscarded: '1' } })
  expect(await store().size('x')).toBeUndefined()
  await expect(store().read('x')).rejects.toMatchObject({ code: 'not_found' })
  await expect(store().readRange('x', 0, 1)).rejects.toMatchObject({ code: 'not_found' })
  await store().put('x', Buffer.from('new'))
  expect(await store().size('x')).toBe(3)
})

it('asks for a put to be retried when another to the same key was committed first', async () => {
  const call: AzureCall = (work) => work(new AbortController().signal)
  const blob = client.getBlockBlobClient('x')
  const [slow, fast] = [startBlocks({ blob, call }), startBlocks({ blob, call })]
  await slow.send(piece('slow'))
  await fast.send(piece('fast'))
  await fast.complete()
  const err: unknown = await slow.complete().catch((reason: unknown) => reason)
  expect(makeAzureBackend({ client, account: 'forebay', clock: systemClock }).faultOf(err)).toEqual({ kind: 'busy' })
  expect(String(await store().readRange('x', 0, 4))).toBe('fast')
})
