import type { Clock, Running } from '@forebay/kernel'
import { awsMetadataUrl, makeAwsSource } from './aws-source.ts'
import { azureMetadataUrl, makeAzureSource } from './azure-source.ts'
import { gcpMetadataUrl, makeGcpSource } from './gcp-source.ts'
import {
  type MetadataClient,
  type MetadataQuestion,
  type MetadataReply,
  openMetadataClient,
} from './metadata-client.ts'
import { type SpotCloud, type SpotSource, spotClouds } from './notice.ts'

const urls: Record<SpotCloud, string> = { aws: awsMetadataUrl, gcp: gcpMetadataUrl, azure: azureMetadataUrl }
const makers = { aws: makeAwsSource, gcp: makeGcpSource, azure: makeAzureSource }

// A question to each cloud's service that only its own answers so.
const probes: Record<SpotCloud, { question: MetadataQuestion; isIt: (reply: MetadataReply) => boolean }> = {
  aws: {
    question: { method: 'PUT', path: '/latest/api/token', headers: { 'x-aws-ec2-metadata-token-ttl-seconds': '60' } },
    isIt: ({ status, text }) => status === 200 && text !== '',
  },
  gcp: {
    question: { path: '/computeMetadata/v1/instance/id', headers: { 'metadata-flavor': 'Google' } },
    isIt: ({ headers }) => headers['metadata-flavor'] === 'Google',
  },
  azure: {
    question: {
      path: '/metadata/instance/compute/name?api-version=2021-02-01&format=text',
      headers: { metadata: 'true' },
    },
    isIt: ({ status }) => status === 200,
  },
}

/**
 * The source of the cloud named, or with `auto` of the one whose metadata service answers; undefined when none does.
 * `url` stands for the service's own address. The connections are closed by `stop`.
 */
export async function chooseSpotSource(options: {
  cloud: SpotCloud | 'auto'
  url: string | undefined
  clock: Clock
  signal: AbortSignal
}): Promise<(SpotSource & Running) | undefined> {
  const { clock, signal, url } = options
  const clients = new Map<string, MetadataClient>()
  const clientOf = (cloud: SpotCloud) => {
    const at = url ?? urls[cloud]
    const client = clients.get(at) ?? openMetadataClient(at)
    clients.set(at, client)
    return client
  }
  const stop = async () => void (await Promise.all([...clients.values()].map((client) => client.stop())))
  const cloud = options.cloud === 'auto' ? await findCloud(clientOf, signal) : options.cloud
  if (cloud !== undefined) return { ...makers[cloud]({ client: clientOf(cloud), clock }), stop }
  await stop()
  return undefined
}

async function findCloud(
  clientOf: (cloud: SpotCloud) => MetadataClient,
  signal: AbortSignal,
): Promise<SpotCloud | undefined> {
  const answers = await Promise.all(
    spotClouds.map(async (cloud) => {
      const { isIt, question } = probes[cloud]
      return clientOf(cloud)
        .ask(question, signal)
        .then(isIt, () => false)
    }),
  )
  return spotClouds.find((_, i) => answers[i])
}
