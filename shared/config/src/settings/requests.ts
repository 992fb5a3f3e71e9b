import { onOff, type Settings, setting, whole } from './setting.ts'

/** What a client may send, and how batches are cut and released. */
export const requests = {
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
} as const satisfies Settings
