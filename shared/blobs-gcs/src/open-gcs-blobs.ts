import { type BlobStore, makeObjectStore } from '@forebay/blobs'
import { systemClock } from '@forebay/kernel'
import { GoogleAuth, gaxios } from 'google-auth-library'
import { makeGcsBackend } from './gcs-backend.ts'
import { makeGcsRequest } from './gcs-request.ts'

/**
 * Blobs as objects of a Google Cloud Storage bucket, below `prefix`. Credentials are the application's default ones.
 * An `endpoint` over plain http is an emulator and is sent none.
 *
 * It speaks the JSON API through Google's auth library. Google's storage client is left out on purpose: a reader that
 * leaves half way makes it destroy the agent, and with it every other request's connection; an upload given up leaves
 * its session open.
 */
export function openGcsBlobs(options: { bucket: string; prefix: string; endpoint?: string }): BlobStore {
  const { bucket, prefix, endpoint = 'https://storage.googleapis.com' } = options
  const client = endpoint.startsWith('http:')
    ? new gaxios.Gaxios()
    : new GoogleAuth({ scopes: ['https://www.googleapis.com/auth/devstorage.read_write'] })
  const request = makeGcsRequest({ client, clock: systemClock })
  const backend = makeGcsBackend({ request, endpoint: endpoint.replace(/\/+$/, ''), bucket, clock: systemClock })
  return makeObjectStore({ backend, prefix })
}
