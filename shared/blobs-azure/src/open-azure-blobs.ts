import { DefaultAzureCredential } from '@azure/identity'
import { ContainerClient, StorageSharedKeyCredential } from '@azure/storage-blob'
import { type BlobStore, makeObjectStore } from '@forebay/blobs'
import { systemClock } from '@forebay/kernel'
import { makeAzureBackend } from './azure-backend.ts'
import { azureSecrets } from './env.ts'

/**
 * Blobs as block blobs of an Azure Storage container, below `prefix`. The credentials are AZURE_STORAGE_KEY or
 * AZURE_STORAGE_SAS_TOKEN when set, else the host's identity. An `endpoint` replaces the account's own address; it
 * holds the account's name where the store wants it in the path.
 */
export function openAzureBlobs(options: {
  account: string
  container: string
  prefix: string
  endpoint?: string
}): BlobStore {
  const { account, container, prefix } = options
  const endpoint = (options.endpoint ?? `https://${account}.blob.core.windows.net`).replace(/\/+$/, '')
  const { key, sas } = azureSecrets()
  const url = `${endpoint}/${encodeURIComponent(container)}`
  const settings = { retryOptions: { maxTries: 4, retryDelayInMs: 200, maxRetryDelayInMs: 5_000 } }
  const client =
    key === undefined && sas !== undefined
      ? new ContainerClient(`${url}?${sas.replace(/^\?/, '')}`, undefined, settings)
      : new ContainerClient(
          url,
          key === undefined ? new DefaultAzureCredential() : new StorageSharedKeyCredential(account, key),
          settings,
        )
  return makeObjectStore({ backend: makeAzureBackend({ client, account, clock: systemClock }), prefix })
}
