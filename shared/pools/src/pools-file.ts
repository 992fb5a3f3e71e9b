import { inferenceEndpointSchema } from '@forebay/contracts'
import { modelsSchema } from '@forebay/model-registry'
import { weightsUsual } from '@forebay/router'
import { z } from 'zod'

const text = z.string().min(1, 'must not be empty')
const name = (what: string) =>
  z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, `must be ${what} of lower-case letters, digits and dashes`)
const replicas = z.number().int('must be a whole number').min(0, 'must not be negative')

const gigabytes = z.number().positive('must be more than 0')

const engineSchema = z
  .strictObject({
    model: text.describe('The model that it serves'),
    url: z.url({ protocol: /^https?$/, error: 'must be an http URL' }).describe('Where it listens, for the worker'),
    memoryGb: gigabytes.describe('What it takes of the memory while it is awake'),
    asleepGb: z.number().min(0, 'must not be negative').default(1).describe('What it takes while it sleeps'),
    adapters: z
      .array(
        z.strictObject({
          name: text.describe('The model that clients ask for'),
          source: text.describe('A path or repository'),
          memoryGb: z.number().min(0, 'must not be negative').default(0).describe('What it takes while loaded'),
        }),
      )
      .default([])
      .describe('LoRA adapters of its model, loaded when they are asked for'),
  })
  .describe('An engine that sleeps while nobody needs its model')

/** One pool of the file. */
export const poolSchema = z
  .strictObject({
    name: name('a name').describe('What workers are told in FOREBAY_POOL'),
    queue: text.describe(
      'URL of its broker: redis://…, postgres://…, sqs://…; $NAME in braces is taken from the environment',
    ),
    blobs: text.optional().describe('URL of its blob store; that of BLOB_URL when not given'),
    cloud: text.optional().describe('For people: aws, gcp, azure, on-prem'),
    region: text.optional().describe('For people'),
    models: z
      .array(text)
      .min(1, 'must name a model, or be left out')
      .optional()
      .describe('The only models it may serve; whatever its workers announce when not given'),
    versions: z
      .record(text, text)
      .optional()
      .describe('Which version of a model its workers run, by model: what a rollout sends it, and no other version’s'),
    quantization: text.optional().describe('For people: fp8, awq, none'),
    costPerGpuHour: z
      .number()
      .min(0, 'must not be negative')
      .max(10_000, 'must be at most 10000: it is per GPU and hour')
      .optional()
      .describe('What a GPU costs an hour, in the currency of the price book'),
    gpus: z
      .number()
      .int('must be a whole number')
      .min(0, 'must not be negative')
      .optional()
      .describe('GPUs of one replica'),
    gpu: text.optional().describe('Which GPU, as `forebay plan` names it: a rollout that does not fit is refused'),
    gpuMemoryGb: gigabytes
      .optional()
      .describe('Memory of one GPU, in GB (10⁹ bytes), where `forebay plan` does not know it or it is a part of one'),
    residency: z
      .array(name('a tag'))
      .default([])
      .describe('Where its data may be said to be: a batch that asks for a tag goes only to pools that carry it'),
    minReplicas: replicas.default(0).describe('Fewest workers'),
    maxReplicas: replicas.optional().describe('Most workers; 10 for the autoscaler when not given'),
    spot: z.boolean().default(false).describe('May be taken away by its cloud; used before the others'),
    coldStartSeconds: z
      .number()
      .positive('must be more than 0')
      .optional()
      .describe('From asking for a worker until it works, until that was measured; 180 when not given'),
    tokensPerSecond: z
      .number()
      .positive('must be more than 0')
      .optional()
      .describe('What a full worker gets through, prompt and output together, until that was measured'),
    tier: z
      .number()
      .int('must be a whole number')
      .min(1, 'must be at least 1')
      .default(1)
      .describe('Pools of a tier are used only when those of every lower one are down (live requests: or full)'),
    managed: z
      .boolean()
      .default(false)
      .describe('A managed API: used only when every pool of your own is full or down, up to spendCapPerDay'),
    spendCapPerDay: z
      .number()
      .min(0, 'must not be negative')
      .optional()
      .describe(
        'What the ledger may charge for it a day (UTC), in the currency of the price book; managed pools need it',
      ),
    engines: z
      .array(engineSchema)
      .min(1, 'must name an engine, or be left out')
      .optional()
      .describe('The engines of each worker, when it has several that share its memory: they sleep and wake as needed'),
    engineMemoryGb: gigabytes.optional().describe('The memory that the engines of a worker share'),
  })
  .describe('A pool: the workers of one model deployment in one cloud and region')

const weight = z.number().min(0, 'must not be negative')

/** How a pool is chosen among those that may run a request. */
export const routingSchema = z
  .strictObject({
    weights: z
      .strictObject({
        latency: weight.default(weightsUsual.latency),
        cost: weight.default(weightsUsual.cost),
        load: weight.default(weightsUsual.load),
        proximity: weight.default(weightsUsual.proximity),
      })
      .refine((weights) => Object.values(weights).some((value) => value > 0), 'must not all be 0')
      .default(weightsUsual)
      .describe('How much each part of the score counts, against the others'),
    home: z
      .strictObject({ cloud: text.optional(), region: text.optional() })
      .default({})
      .describe('Where the gateway and the files are: pools there are near'),
  })
  .describe('How a pool is chosen among those that may run a request')

const share = z.number().min(0, 'must not be negative').max(1, 'must be at most 1')
const complexitySchema = z
  .strictObject({
    small: text.describe('The model that answers what looks easy'),
    large: text.describe('The model that answers the rest'),
    threshold: share.default(0.5).describe('From this score on, from 0 (easy) to 1, the large one answers'),
    sampleShare: share
      .default(0.02)
      .describe('The share of the live requests that the other model answers, too, to compare the answers'),
    agreementMin: share
      .default(0.8)
      .describe('When fewer of the answers compared agree, the large one answers everything for as long'),
    samplesMin: z.number().int('must be a whole number').min(1, 'must be at least 1').default(50),
  })
  .describe('A small or a large model, by how hard a request looks')

/** A name that clients may ask for, and the models that answer. */
export const aliasSchema = z
  .strictObject({
    alias: text.describe('The model that clients ask for; may be the name of a real one'),
    to: z
      .union([text.transform((model) => ({ [model]: 1 })), z.record(text, z.number().positive('must be more than 0'))])
      .refine((to) => Object.keys(to).length > 0, 'must name a model')
      .optional()
      .describe('The model that answers, or several with the share of each'),
    complexity: complexitySchema.optional(),
    when: z
      .strictObject({
        tenants: z.array(text).min(1, 'must name a tenant, or be left out').optional(),
        endpoints: z.array(inferenceEndpointSchema).min(1, 'must name an endpoint, or be left out').optional(),
        minTokens: z.number().min(0, 'must not be negative').optional(),
        maxTokens: z.number().min(0, 'must not be negative').optional(),
      })
      .default({})
      .describe('All that is given must hold; tokens are estimated, prompt and output together'),
  })
  .refine(
    ({ complexity, to }) => (to === undefined) !== (complexity === undefined),
    'needs either `to` or `complexity`',
  )
  .transform(({ complexity, to, ...rule }) => ({
    ...rule,
    complexity,
    to: to ?? (complexity ? { [complexity.small]: 1, [complexity.large]: 1 } : {}),
  }))
  .describe('Requests for a name go to another model; the first rule that holds decides')

/** The configuration file. */
export const poolsFileSchema = z.strictObject({
  $schema: z.string().optional(),
  pools: z.array(poolSchema).min(1, 'must name a pool'),
  routing: routingSchema.optional(),
  routes: z.array(aliasSchema).optional(),
  models: modelsSchema.optional(),
})

/** The file's JSON schema, for editors. */
export function poolsFileJsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(poolsFileSchema, { io: 'input', target: 'draft-7' })
  return { ...schema, title: 'forebay.config.yaml: the pools of a Forebay' }
}
