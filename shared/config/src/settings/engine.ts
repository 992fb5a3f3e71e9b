import { z } from 'zod'
import { type Settings, setting, text, url, whole } from './setting.ts'

/** What a worker lets into its engine, and how it ends. */
export const engine = {
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
} as const satisfies Settings
