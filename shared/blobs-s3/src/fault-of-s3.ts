import { type Fault, faultOfNetwork, faultOfStatus } from '@forebay/blobs'

const byName: Readonly<Record<string, Fault>> = {
  NoSuchKey: { kind: 'missing' },
  NotFound: { kind: 'missing' },
  InvalidRange: { kind: 'past_end' },
  AccessDenied: { kind: 'denied' },
  InvalidAccessKeyId: { kind: 'denied' },
  SignatureDoesNotMatch: { kind: 'denied' },
  ExpiredToken: { kind: 'denied' },
  SlowDown: { kind: 'busy' },
  InternalError: { kind: 'busy' },
  RequestTimeout: { kind: 'busy' },
  // The upload was given up behind our back, by a lifecycle rule or a second try of a completion: put it again.
  NoSuchUpload: { kind: 'busy' },
  CredentialsProviderError: {
    kind: 'config',
    hint: 'no AWS credentials were found. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the host a role.',
  },
}

/** Explains an error of the AWS SDK, by its name first: the status alone cannot tell a missing bucket from a key. */
export function faultOfS3(err: unknown, bucket: string): Fault | undefined {
  if (!(err instanceof Error)) return undefined
  const status =
    '$metadata' in err && err.$metadata instanceof Object && 'httpStatusCode' in err.$metadata
      ? Number(err.$metadata.httpStatusCode)
      : undefined
  if (err.name === 'NoSuchBucket') {
    return { kind: 'config', hint: `the S3 bucket '${bucket}' does not exist. Create it or name another.` }
  }
  if (err.message === 'Region is missing') {
    return { kind: 'config', hint: `the region of the S3 bucket '${bucket}' is not known. Add ?region=… to the URL.` }
  }
  if (status === 301 || err.name === 'AuthorizationHeaderMalformed') {
    return { kind: 'config', hint: `the S3 bucket '${bucket}' is in another region. Name it as ?region=… in the URL.` }
  }
  return byName[err.name] ?? faultOfStatus(status) ?? faultOfNetwork(err)
}
