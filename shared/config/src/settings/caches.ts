import { z } from 'zod'
import { type Settings, setting, share, text, url, whole } from './setting.ts'

/** The exact and the semantic cache. */
export const caches = {
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
} as const satisfies Settings
