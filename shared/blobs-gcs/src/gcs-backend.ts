import type { Readable } from 'node:stream'
import type { ObjectBackend } from '@forebay/blobs'
import type { Clock } from '@forebay/kernel'
import { faultOfGcs } from './fault-of-gcs.ts'
import type { GcsRequest } from './gcs-request.ts'
import { startSession } from './resumable-session.ts'

const deletesAtOnce = 16

/** A bucket of Google Cloud Storage, over its JSON API. */
export function makeGcsBackend(options: {
  request: GcsRequest
  endpoint: string
  bucket: string
  clock: Clock
}): ObjectBackend {
  const { request, endpoint, bucket, clock } = options
  const objects = `/storage/v1/b/${encodeURIComponent(bucket)}/o`
  const objectUrl = (key: string) => `${endpoint}${objects}/${encodeURIComponent(key)}`
  const uploadUrl = (key: string, uploadType: string) =>
    `${endpoint}/upload${objects}?${new URLSearchParams({ uploadType, name: key })}`
  const deleteOne = async (key: string) => void (await request({ method: 'DELETE', url: objectUrl(key) }))

  return {
    place: `the GCS bucket '${bucket}'`,
    permissions: {
      write: 'storage.objects.create',
      read: 'storage.objects.get',
      list: 'storage.objects.list',
      delete: 'storage.objects.delete, which replacing an object needs too',
    },
    putWhole: async (key, bytes) => {
      const headers = { 'content-type': 'application/octet-stream' }
      await request({ method: 'POST', url: uploadUrl(key, 'media'), headers, data: bytes })
    },
    startUpload: (key) => startSession({ request, clock, url: uploadUrl(key, 'resumable') }),
    open: async (key, range) => {
      const { data } = await request<Readable>({
        method: 'GET',
        url: `${objectUrl(key)}?alt=media`,
        responseType: 'stream',
        ...(range ? { headers: { range: `bytes=${range.start}-${range.end - 1}` } } : {}),
      })
      return data
    },
    size: async (key) => {
      const { data } = await request<{ size: string }>({ method: 'GET', url: `${objectUrl(key)}?fields=size` })
      return Number(data.size)
    },
    delete: deleteOne,
    list: async function* (prefix) {
      let pageToken: string | undefined
      do {
        const query = new URLSearchParams({
          prefix,
          maxResults: '1000',
          fields: 'items(name),nextPageToken',
          ...(pageToken === undefined ? {} : { pageToken }),
        })
        const page = await request<{ items?: { name: string }[]; nextPageToken?: string }>({
          method: 'GET',
          url: `${endpoint}${objects}?${query}`,
        })
        yield (page.data.items ?? []).map(({ name }) => name)
        pageToken = page.data.nextPageToken
      } while (pageToken !== undefined)
    },
    deletePage: async (keys) => {
      for (let at = 0; at < keys.length; at += deletesAtOnce) {
        await Promise.all(
          keys.slice(at, at + deletesAtOnce).map((key) =>
            deleteOne(key).catch((err: unknown) => {
              if (faultOfGcs(err)?.kind !== 'missing') throw err
            }),
          ),
        )
      }
    },
    faultOf: faultOfGcs,
  }
}
