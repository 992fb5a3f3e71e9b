import { type Fault, faultOfNetwork, faultOfStatus } from '@forebay/blobs'

/** Explains an error of Google's HTTP client or of its search for credentials. */
export function faultOfGcs(err: unknown): Fault | undefined {
  if (!(err instanceof Error)) return undefined
  if (/default credentials|Unable to detect a Project Id/i.test(err.message)) {
    return {
      kind: 'config',
      hint: 'no Google credentials were found. Set GOOGLE_APPLICATION_CREDENTIALS, or give the host a service account.',
    }
  }
  // A refresh of the credentials themselves is refused with a 400.
  if (/invalid_grant|unauthorized_client/.test(err.message)) return { kind: 'denied' }
  const status = 'status' in err && typeof err.status === 'number' ? err.status : undefined
  return faultOfStatus(status) ?? faultOfNetwork(err)
}
