import { logLevels } from '@forebay/kernel'
import { z } from 'zod'

/** One setting: the environment variable it is read from, what it must be, and what it is for. */
interface Setting<S extends z.ZodType = z.ZodType> {
  env: string
  schema: S
  about: string
  secret?: true
}

const setting = <S extends z.ZodType>(env: string, schema: S, about: string, secret?: true): Setting<S> => ({
  env,
  schema,
  about,
  ...(secret ? { secret } : {}),
})

const text = z.string().min(1, 'must not be empty')
const url = (schemes: readonly string[]) =>
  text.refine((value) => schemes.some((scheme) => value.startsWith(`${scheme}:`)) && URL.canParse(value), {
    error: `must be a URL that starts with ${schemes.map((s) => `${s}://`).join(' or ')}`,
  })
const whole = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d+$/, `must be a whole number from ${min} to ${max}`)
    .transform(Number)
    .pipe(z.number().min(min, `must be at least ${min}`).max(max, `must be at most ${max}`))
const onOff = (normal: 'on' | 'off') =>
  z
    .enum(['on', 'off'])
    .default(normal)
    .transform((value) => value === 'on')
const share = z
  .string()
  .regex(/^(0(\.\d+)?|1(\.0+)?)$/, 'must be a number from 0 to 1')
  .transform(Number)
const list = text.transform((value) =>
  value
    .split(',')
    .map((item) => item.trim())
    .filter(Boolean),
)

/** Every setting of every process. The defaults are those of one machine. */
export const settings = {
  host: setting('HOST', text.default('127.0.0.1'), 'address the gateway listens on'),
  port: setting('PORT', whole(0, 65535).default(8080), 'port the gateway listens on; 0 picks a free one'),
  opsPort: setting(
    'FOREBAY_OPS_PORT',
    whole(0, 65535).default(0),
    'port of /healthz, /readyz and /metrics of the other processes; 0 picks a free one',
  ),
  dataDir: setting('FOREBAY_DATA_DIR', text.default('./.data'), 'folder of the embedded database and of the blobs'),
  apiKey: setting(
    'FOREBAY_API_KEY',
    text.min(16, 'must have at least 16 characters').optional(),
    'the first API key (standalone creates it), and the key the CLI sends',
    true,
  ),
  url: setting(
    'FOREBAY_URL',
    url(['http', 'https']).default('http://127.0.0.1:8080'),
    'where the CLI finds the gateway',
  ),
  databaseUrl: setting(
    'DATABASE_URL',
    url(['postgres', 'postgresql']).optional(),
    'Postgres; standalone starts its own when not set',
  ),
  queueUrl: setting(
    'QUEUE_URL',
    url(['redis', 'rediss', 'postgres', 'postgresql', 'memory', 'sqs', 'pubsub', 'servicebus']).optional(),
    'the queue: redis://, postgres://, sqs://region, pubsub://project or servicebus://namespace; the database when not set',
  ),
  redisUrl: setting(
    'REDIS_URL',
    url(['redis', 'rediss']).optional(),
    'reply bus and rate limits; within the process when not set (standalone only)',
  ),
  blobUrl: setting(
    'BLOB_URL',
    text.optional(),
    'file:///folder, s3://, gs:// or azblob:// for files, plans and parts; <data dir>/blobs when not set',
  ),
  engineUrl: setting(
    'FOREBAY_ENGINE_URL',
    url(['http', 'https']).optional(),
    'the engine, without /v1; looked for on localhost when not set',
  ),
  engineApiKey: setting('FOREBAY_ENGINE_API_KEY', text.optional(), 'key sent to the engine', true),
  pool: setting(
    'FOREBAY_POOL',
    z
      .string()
      .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'must be lower-case letters, digits and dashes')
      .default('default'),
    'the pool a worker serves',
  ),
  configFile: setting(
    'FOREBAY_CONFIG',
    text.optional(),
    'the file that names the pools; forebay.config.yaml in the working folder, if it is there, when not set',
  ),
  logLevel: setting('FOREBAY_LOG_LEVEL', z.enum(logLevels).default('info'), 'how much is logged'),
  maxFileBytes: setting('FOREBAY_MAX_FILE_BYTES', whole(1, 2 ** 40).default(209_715_200), 'largest upload, in bytes'),
  maxBatchRequests: setting(
    'FOREBAY_MAX_BATCH_REQUESTS',
    whole(1, 10_000_000).default(50_000),
    'most requests of one batch',
  ),
  maxLineBytes: setting(
    'FOREBAY_MAX_LINE_BYTES',
    whole(64, 2 ** 24 - 1).default(1_048_576),
    'longest line of a batch file, in bytes',
  ),
  maxBodyBytes: setting(
    'FOREBAY_MAX_BODY_BYTES',
    whole(64, 2 ** 28).default(10_485_760),
    'largest body of a real-time request, in bytes',
  ),
  requestsPerMinute: setting(
    'FOREBAY_REQUESTS_PER_MINUTE',
    whole(1, 10_000_000).default(6000),
    'real-time requests a minute for a tenant without a limit of its own',
  ),
  tokensPerMinute: setting(
    'FOREBAY_TOKENS_PER_MINUTE',
    whole(1, 2_000_000_000).default(4_000_000),
    'real-time tokens a minute for a tenant without a limit of its own',
  ),
  requestTimeoutMs: setting(
    'FOREBAY_REQUEST_TIMEOUT_MS',
    whole(100, 3_600_000).default(600_000),
    'longest a real-time request may take',
  ),
  chunkRequests: setting('FOREBAY_CHUNK_REQUESTS', whole(1, 1024).default(64), 'most requests of a chunk'),
  chunkTokens: setting(
    'FOREBAY_CHUNK_TOKENS',
    whole(1, 10_000_000).default(65_536),
    'most estimated tokens of a chunk of several requests',
  ),
  runIdenticalOnce: setting(
    'FOREBAY_RUN_IDENTICAL_ONCE',
    onOff('on'),
    'lines of a batch with the same body, at temperature 0 or with a seed, are run once and answered all: on or off',
  ),
  chunkLeaseMs: setting(
    'FOREBAY_CHUNK_LEASE_MS',
    whole(500, 3_600_000).default(60_000),
    'a released chunk unheard of for longer is released again',
  ),
  queueLeaseMs: setting(
    'FOREBAY_QUEUE_LEASE_MS',
    whole(500, 300_000).default(30_000),
    'a job whose consumer is silent for longer is delivered again; the same in every process',
  ),
  cancelGraceMs: setting(
    'FOREBAY_CANCEL_GRACE_MS',
    whole(0, 600_000).default(60_000),
    'how long requests under way may finish after a cancel',
  ),
  engineInFlight: setting(
    'FOREBAY_ENGINE_IN_FLIGHT',
    whole(1, 65_536).optional(),
    'most requests at the engine at once; found out from what the engine says when not set',
  ),
  engineHints: setting(
    'FOREBAY_ENGINE_HINTS',
    z.enum(['auto', 'off']).default('auto'),
    "whether a worker adds vLLM's own priority and cache_salt to requests that do not have them; auto: where the engine is vLLM",
  ),
  cacheSaltSecret: setting(
    'FOREBAY_CACHE_SALT_SECRET',
    text.min(16, 'must have at least 16 characters').optional(),
    "what tenants' cache_salt is made from, the same for all workers of an engine; made up by each worker (standalone and cluster: kept in the data folder) when not set",
    true,
  ),
  microBatchSize: setting(
    'FOREBAY_MICRO_BATCH_SIZE',
    whole(1, 4_096).default(32),
    'most inputs of an embeddings call to the engine that several requests share; 1 sends each request by itself',
  ),
  microBatchTokens: setting(
    'FOREBAY_MICRO_BATCH_TOKENS',
    whole(1, 10_000_000).default(8_192),
    'most estimated tokens of such a call',
  ),
  microBatchWaitMs: setting(
    'FOREBAY_MICRO_BATCH_WAIT_MS',
    whole(0, 10_000).default(50),
    'longest an embeddings request waits for others to share its call, while the engine is at work',
  ),
  modelHoldMs: setting(
    'FOREBAY_MODEL_HOLD_MS',
    whole(0, 3_600_000).default(15_000),
    'how long a model stays in memory at least, in a worker with several engines',
  ),
  modelTurnMs: setting(
    'FOREBAY_MODEL_TURN_MS',
    whole(0, 3_600_000).default(60_000),
    'after so long a model that is waited for gets the place of one that has work itself',
  ),
  realtimeSeats: setting(
    'FOREBAY_REALTIME_SEATS',
    whole(0, 65_536).optional(),
    'seats of the engine that batch work never takes; as many as live requests took lately when not set',
  ),
  ttftP99Ms: setting(
    'FOREBAY_TTFT_P99_MS',
    whole(1, 600_000).optional(),
    'time to the first token that 99 of 100 live requests are to keep within at the worker, whatever batch work runs beside them; three times that of an idle engine, and at least 100, when not set',
  ),
  interTokenP99Ms: setting(
    'FOREBAY_INTER_TOKEN_P99_MS',
    whole(1, 600_000).optional(),
    'time between two tokens of a live stream, at the 99th percentile; not looked at when not set',
  ),
  requestAttempts: setting(
    'FOREBAY_REQUEST_ATTEMPTS',
    whole(1, 100).default(3),
    'tries of a request at the engine before its failure is its result',
  ),
  drainMs: setting(
    'FOREBAY_DRAIN_MS',
    whole(0, 3_600_000).default(25_000),
    'how long a process told to stop lets its work finish',
  ),
  spot: setting(
    'FOREBAY_SPOT',
    z.enum(['off', 'aws', 'gcp', 'azure', 'auto']).optional(),
    'whose notices that the machine is taken away a worker watches for; auto asks which cloud it is on; that of the pool in the configuration file, else off, when not set',
  ),
  spotUrl: setting(
    'FOREBAY_SPOT_URL',
    url(['http', 'https']).optional(),
    "the cloud's metadata service; where that cloud has it when not set",
  ),
  spotRebalance: setting(
    'FOREBAY_SPOT_REBALANCE',
    z.enum(['watch', 'drain']).default('watch'),
    'on a rebalance recommendation of AWS: only say so, or drain although no end is announced',
  ),
  cache: setting(
    'FOREBAY_CACHE',
    z.enum(['on', 'off']).default('on'),
    'whether equal deterministic requests are answered from the exact cache',
  ),
  cacheTtlMs: setting('FOREBAY_CACHE_TTL_MS', whole(1, 86_400_000).default(3_600_000), 'how long an answer is cached'),
  cacheMemoryBytes: setting(
    'FOREBAY_CACHE_MEMORY_BYTES',
    whole(0, 2 ** 36).default(67_108_864),
    'most that a gateway keeps of cached answers in its own memory, in bytes',
  ),
  cacheEntryBytes: setting(
    'FOREBAY_CACHE_ENTRY_BYTES',
    whole(0, 2 ** 28).default(262_144),
    'largest answer that is cached, in bytes',
  ),
  cacheRedisUrl: setting(
    'FOREBAY_CACHE_REDIS_URL',
    url(['redis', 'rediss']).optional(),
    'where gateways share cached answers, best a Redis that evicts; REDIS_URL when not set',
  ),
  auditKey: setting(
    'FOREBAY_AUDIT_KEY',
    text.optional(),
    "Ed25519 private key (PKCS #8, PEM or base64) that signs the audit log's checkpoints; one kept in the data folder when not set",
    true,
  ),
  retentionInputDays: setting(
    'FOREBAY_RETENTION_INPUT_DAYS',
    whole(0, 36_500).optional(),
    'days an uploaded file is kept after its last use, for a tenant without a retention of its own; until it is deleted when not set',
  ),
  retentionOutputDays: setting(
    'FOREBAY_RETENTION_OUTPUT_DAYS',
    whole(0, 36_500).default(30),
    'the same of output and error files, from when they were written',
  ),
  retentionAuditDays: setting(
    'FOREBAY_RETENTION_AUDIT_DAYS',
    whole(1, 36_500).optional(),
    'the same of rows of the audit log; for ever when not set',
  ),
  downloadWindowMs: setting(
    'FOREBAY_DOWNLOAD_WINDOW_MS',
    whole(0, 86_400_000).default(3_600_000),
    'how long files are kept all the same that retention lets go at once, so that they can be used and downloaded',
  ),
  embeddingsUrl: setting(
    'FOREBAY_EMBEDDINGS_URL',
    url(['http', 'https']).optional(),
    'an OpenAI-compatible embeddings endpoint, without /v1; no semantic cache when not set',
  ),
  embeddingsModel: setting('FOREBAY_EMBEDDINGS_MODEL', text.optional(), 'the model asked for there'),
  embeddingsApiKey: setting('FOREBAY_EMBEDDINGS_API_KEY', text.optional(), 'key sent there', true),
  semanticSimilarity: setting(
    'FOREBAY_SEMANTIC_SIMILARITY',
    share.default(0.95),
    'least similarity of two questions that the semantic cache may take for one',
  ),
  semanticSamples: setting(
    'FOREBAY_SEMANTIC_SAMPLES',
    whole(1, 1_000_000).default(300),
    'answers that the semantic cache compares with computed ones before it serves any',
  ),
  semanticSampleShare: setting(
    'FOREBAY_SEMANTIC_SAMPLE_SHARE',
    share.default(0.02),
    'share of semantic hits that are computed all the same, and compared',
  ),
  semanticErrorBudget: setting(
    'FOREBAY_SEMANTIC_ERROR_BUDGET',
    share.default(0.01),
    'share of compared answers that may differ; beyond it the semantic cache of that tenant and model stops',
  ),
  semanticMemoryBytes: setting(
    'FOREBAY_SEMANTIC_MEMORY_BYTES',
    whole(0, 2 ** 36).default(268_435_456),
    'most that a gateway keeps of vectors and their answers where Postgres has no pgvector, in bytes',
  ),
  qualityRepetitionMax: setting(
    'FOREBAY_QUALITY_REPETITION_MAX',
    share.default(0.5),
    'share of its runs of four words that an answer of a batch may repeat before it counts as repetitive',
  ),
  qualityPerplexityMax: setting(
    'FOREBAY_QUALITY_PERPLEXITY_MAX',
    whole(1, 1_000_000).default(100),
    'perplexity to its own model beyond which an answer of a batch counts as odd',
  ),
  judgeModel: setting(
    'FOREBAY_JUDGE_MODEL',
    text.optional(),
    'a model served here that gives a sample of batch answers scores; none is judged when not set',
  ),
  judgeShare: setting(
    'FOREBAY_JUDGE_SHARE',
    share.default(0.01),
    'share of batch answers that it judges, of a tenant without a share of its own',
  ),
  judgeScoreMin: setting(
    'FOREBAY_JUDGE_SCORE_MIN',
    whole(1, 5).default(3),
    'least score, from 1 to 5, below which an answer is flagged for review',
  ),
  judgeAlertShare: setting(
    'FOREBAY_JUDGE_ALERT_SHARE',
    share.default(0.1),
    "share of a batch's judged answers that must be flagged for the event quality.alert",
  ),
  scaleEveryMs: setting(
    'FOREBAY_SCALE_EVERY_MS',
    whole(100, 300_000).default(15_000),
    'how often the autoscaler decides',
  ),
  scaleStableMs: setting(
    'FOREBAY_SCALE_STABLE_MS',
    whole(0, 86_400_000).default(300_000),
    'how long fewer workers must have sufficed before a pool shrinks',
  ),
  scalerGrpcPort: setting(
    'FOREBAY_SCALER_GRPC_PORT',
    whole(0, 65535).optional(),
    'port of the autoscaler for external-push scalers of KEDA; not served when not set, 0 picks a free one',
  ),
  localWorkers: setting(
    'FOREBAY_LOCAL_WORKERS',
    z
      .string()
      .regex(/^\d{1,3}\.\.\d{1,3}$/, 'must be the least and the most, as in 0..4')
      .transform((value) => {
        const [min = 0, max = 0] = value.split('..').map(Number)
        return { min, max }
      })
      .refine(({ max, min }) => min <= max && max > 0, {
        error: 'must have a least that is not more than the most, and a most of at least 1',
      })
      .optional(),
    'least..most workers that the autoscaler starts and stops itself, on its own machine, for the pool of FOREBAY_POOL',
  ),
  webhookAllow: setting(
    'FOREBAY_WEBHOOK_ALLOW',
    list.optional(),
    'hosts and CIDR ranges webhooks may reach although they are private, or without TLS; comma-separated',
  ),
  webhookTimeoutMs: setting(
    'FOREBAY_WEBHOOK_TIMEOUT_MS',
    whole(100, 60_000).default(15_000),
    'longest one delivery of a webhook may take',
  ),
} as const satisfies Record<string, Setting>

export type SettingName = keyof typeof settings

/** What is in force. A setting that is optional and not given is undefined. */
export type Config = { readonly [K in SettingName]: z.output<(typeof settings)[K]['schema']> }
