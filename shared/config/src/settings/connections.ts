import { logLevels } from '@forebay/kernel'
import { z } from 'zod'
import { type Settings, setting, text, url, whole } from './setting.ts'

/** Where a process finds the others, and what it says in its log. */
export const connections = {
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
} as const satisfies Settings
