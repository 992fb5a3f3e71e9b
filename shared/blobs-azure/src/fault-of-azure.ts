import { type Fault, faultOfNetwork, faultOfStatus } from '@forebay/blobs'

const byCode: Readonly<Record<string, Fault>> = {
  BlobNotFound: { kind: 'missing' },
  InvalidRange: { kind: 'past_end' },
  ContainerBeingDeleted: { kind: 'busy' },
  // Another put to the same key was committed, and dropped the blocks of this one: put it again.
  InvalidBlockList: { kind: 'busy' },
}

/** Explains an error of the Azure SDK about a container. */
export function faultOfAzure(err: unknown, container: string): Fault | undefined {
  if (!(err instanceof Error)) return undefined
  if (codeOf(err) === 'ContainerNotFound') {
    return { kind: 'config', hint: `the Azure container '${container}' does not exist. Create it or name another.` }
  }
  if (/^(CredentialUnavailableError|AggregateAuthenticationError|AuthenticationRequiredError)$/.test(err.name)) {
    return {
      kind: 'config',
      hint: 'no Azure credentials were found. Set AZURE_STORAGE_KEY, or give the host a managed identity.',
    }
  }
  const status = 'statusCode' in err && typeof err.statusCode === 'number' ? err.statusCode : undefined
  const short = err.message.startsWith('Data corruption failure: received less')
    ? ({ kind: 'busy' } as const)
    : undefined
  return byCode[codeOf(err) ?? ''] ?? faultOfStatus(status) ?? faultOfNetwork(err) ?? short
}

/** The code Azure gave for an error, such as `BlobNotFound`. */
export function codeOf(err: unknown): string | undefined {
  return err instanceof Error && 'code' in err && typeof err.code === 'string' ? err.code : undefined
}
