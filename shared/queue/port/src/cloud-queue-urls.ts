/** What a cloud's queue URL looks like, and which parameters it may have; `parseQueueUrl` holds it to that. */
export interface QueueUrlForm {
  readonly example: string
  readonly params: readonly string[]
}

/** By scheme. Here and not with the drivers, so that a URL can be checked without loading their SDKs. */
export const cloudQueueUrls = {
  sqs: { example: 'sqs://eu-central-1/forebay', params: ['endpoint'] },
  pubsub: { example: 'pubsub://my-project/forebay', params: ['endpoint', 'monitoring'] },
  servicebus: { example: 'servicebus://my-namespace/forebay', params: ['endpoint', 'admin'] },
} as const satisfies Record<string, QueueUrlForm>
