-- Forebay's state. Who writes what is in ARCHITECTURE.md, "Who owns which state".
CREATE EXTENSION IF NOT EXISTS btree_gist;

CREATE TABLE tenants (
  id text PRIMARY KEY CHECK (id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
  name text NOT NULL,
  weight integer NOT NULL DEFAULT 1 CHECK (weight BETWEEN 1 AND 1000),
  requests_per_minute integer CHECK (requests_per_minute > 0),
  tokens_per_minute integer CHECK (tokens_per_minute > 0),
  -- Fair share: tokens released so far, divided by weight (scheduler only).
  virtual_tokens bigint NOT NULL DEFAULT 0,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE api_keys (
  id text PRIMARY KEY,
  tenant_id text NOT NULL REFERENCES tenants (id),
  name text NOT NULL,
  hash bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32), -- SHA-256 of the whole key
  hint text NOT NULL,                                          -- its last four characters
  role text NOT NULL DEFAULT 'user' CHECK (role IN ('user', 'admin')),
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz,
  revoked_at timestamptz,
  last_used_at timestamptz
);
CREATE INDEX api_keys_by_tenant ON api_keys (tenant_id, created_at DESC);

CREATE TABLE files (
  id text PRIMARY KEY,
  tenant_id text NOT NULL REFERENCES tenants (id),
  filename text NOT NULL,
  purpose text NOT NULL,
  bytes bigint NOT NULL CHECK (bytes >= 0),
  sha256 bytea NOT NULL,
  blob_key text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz,
  deleted_at timestamptz
);
CREATE INDEX files_by_tenant ON files (tenant_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX files_by_expiry ON files (expires_at) WHERE deleted_at IS NULL;

-- validating → in_progress → finalizing → completed; validating → failed;
-- validating|in_progress → cancelling → cancelled; validating|in_progress → finalizing → expired.
-- gateway inserts (and asks for a cancel); scheduler makes every later move; results only adds to the counters.
CREATE TABLE batches (
  id text PRIMARY KEY,
  tenant_id text NOT NULL REFERENCES tenants (id),
  api_key_id text NOT NULL,
  endpoint text NOT NULL,
  input_file_id text NOT NULL REFERENCES files (id),
  completion_window text NOT NULL,
  metadata jsonb,
  output_expires_after_seconds integer,
  idempotency_key text,
  request_hash bytea,
  status text NOT NULL DEFAULT 'validating' CHECK (status IN
    ('validating', 'in_progress', 'finalizing', 'completed', 'failed', 'cancelling', 'cancelled', 'expired')),
  model text,
  pool text,
  lane text NOT NULL DEFAULT 'batch' CHECK (lane IN ('standard', 'batch')),
  errors jsonb,                                      -- [{code, message, param, line}]
  output_file_id text,
  error_file_id text,
  total integer NOT NULL DEFAULT 0,
  completed integer NOT NULL DEFAULT 0,
  failed integer NOT NULL DEFAULT 0,
  prompt_tokens bigint NOT NULL DEFAULT 0,
  cached_tokens bigint NOT NULL DEFAULT 0,
  completion_tokens bigint NOT NULL DEFAULT 0,
  reasoning_tokens bigint NOT NULL DEFAULT 0,
  cost_nano bigint NOT NULL DEFAULT 0,
  est_tokens bigint NOT NULL DEFAULT 0,              -- planned, prompt and output
  virtual_tokens bigint NOT NULL DEFAULT 0,          -- released so far, for a fair share between one tenant's batches
  closed_at timestamptz,                             -- from here on results commits nothing more to this batch
  final_status text CHECK (final_status IN ('completed', 'expired', 'cancelled')),
  created_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL,
  in_progress_at timestamptz,
  finalizing_at timestamptz,
  completed_at timestamptz,
  failed_at timestamptz,
  expired_at timestamptz,
  cancelling_at timestamptz,
  cancelled_at timestamptz,
  claimed_by text,                                   -- the scheduler replica that plans or finalises it now
  claimed_until timestamptz,
  CHECK (completed >= 0 AND failed >= 0 AND completed + failed <= total),
  UNIQUE (tenant_id, idempotency_key)
);
CREATE INDEX batches_by_tenant ON batches (tenant_id, created_at DESC, id DESC);
CREATE INDEX batches_live ON batches (status, expires_at) WHERE status IN ('validating', 'in_progress', 'finalizing', 'cancelling');

-- A run of requests that travels as one job. planned → released (attempt n) → done. scheduler only.
CREATE TABLE chunks (
  batch_id text NOT NULL REFERENCES batches (id),
  index integer NOT NULL,
  first_entry integer NOT NULL,                      -- position of its first entry in the plan
  entries integer NOT NULL CHECK (entries > 0),
  est_tokens bigint NOT NULL,
  status text NOT NULL DEFAULT 'planned' CHECK (status IN ('planned', 'released', 'done')),
  attempt integer NOT NULL DEFAULT 0,
  released_at timestamptz,
  PRIMARY KEY (batch_id, index)
);
CREATE INDEX chunks_open ON chunks (batch_id, index) WHERE status = 'planned';
CREATE INDEX chunks_out ON chunks (batch_id, index) WHERE status = 'released';

-- What results and the workers' heartbeats have told of a chunk. results only.
CREATE TABLE chunk_progress (
  batch_id text NOT NULL,
  chunk integer NOT NULL,
  done integer NOT NULL DEFAULT 0,
  last_seen_at timestamptz NOT NULL DEFAULT now(),   -- last result or heartbeat
  returned_attempt integer NOT NULL DEFAULT 0,       -- highest attempt that a worker handed back unfinished
  PRIMARY KEY (batch_id, chunk)
);

-- The audit log: one row per finished request. results only. The primary key is what makes counting and charging exactly-once.
CREATE TABLE requests (
  id text PRIMARY KEY,                               -- batch line: batch_req_<batch>_<line>; real-time: req_…
  tenant_id text NOT NULL,
  api_key_id text,
  batch_id text,
  line integer,                                      -- 1-based line of the input file
  chunk integer,
  custom_id text,
  endpoint text NOT NULL,
  model text NOT NULL,
  pool text NOT NULL,
  lane text NOT NULL,
  worker_id text NOT NULL,
  attempt integer NOT NULL,
  outcome text NOT NULL CHECK (outcome IN ('succeeded', 'failed', 'cancelled')),
  status_code integer NOT NULL,
  error_code text,
  prompt_tokens integer NOT NULL DEFAULT 0,
  cached_tokens integer,                             -- null: the engine did not say
  completion_tokens integer NOT NULL DEFAULT 0,
  reasoning_tokens integer NOT NULL DEFAULT 0,
  queued_ms integer NOT NULL DEFAULT 0,
  first_token_ms integer,
  duration_ms integer NOT NULL DEFAULT 0,
  part_key text,
  part_offset bigint,
  part_bytes integer,
  finished_at timestamptz NOT NULL,
  committed_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX requests_by_line ON requests (batch_id, line) WHERE batch_id IS NOT NULL;
CREATE INDEX requests_by_chunk ON requests (batch_id, chunk) WHERE batch_id IS NOT NULL;
CREATE INDEX requests_by_tenant ON requests (tenant_id, finished_at DESC);

-- Price book: immutable rows, no overlaps; a correction closes a row and opens another.
CREATE TABLE prices (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tenant_id text REFERENCES tenants (id),            -- null: every tenant
  model text NOT NULL,                               -- '*': every model
  usage_type text NOT NULL CHECK (usage_type IN ('input', 'cached_input', 'output', 'reasoning', 'embedding')),
  lane text CHECK (lane IN ('realtime', 'standard', 'batch')), -- null: every lane
  nano_per_million bigint NOT NULL CHECK (nano_per_million >= 0), -- nano-units of currency per million tokens
  currency text NOT NULL DEFAULT 'USD',
  effective_from timestamptz NOT NULL,
  effective_to timestamptz,
  CHECK (effective_to IS NULL OR effective_to > effective_from),
  EXCLUDE USING gist (
    (coalesce(tenant_id, '')) WITH =, model WITH =, usage_type WITH =, (coalesce(lane, '')) WITH =,
    tstzrange(effective_from, effective_to) WITH &&)
);

-- Append-only; integer nano-units. results only.
CREATE TABLE ledger (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  request_id text NOT NULL,
  kind text NOT NULL CHECK (kind IN ('usage', 'cache_hit', 'adjustment', 'credit', 'idle')),
  tenant_id text NOT NULL,
  api_key_id text,
  batch_id text,
  model text NOT NULL,
  lane text NOT NULL,
  prompt_tokens integer NOT NULL,
  cached_tokens integer,
  completion_tokens integer NOT NULL,
  reasoning_tokens integer NOT NULL,
  amount_nano bigint NOT NULL,
  currency text NOT NULL DEFAULT 'USD',
  price_ids bigint[] NOT NULL,                       -- the price rows applied; empty: no price was in force
  occurred_at timestamptz NOT NULL,
  UNIQUE (request_id, kind)
);
CREATE INDEX ledger_by_tenant ON ledger (tenant_id, occurred_at);
CREATE INDEX ledger_by_batch ON ledger (batch_id) WHERE batch_id IS NOT NULL;

-- Tokens spent on answers that lost the insert, or came after the batch closed: recorded, never charged. results only.
CREATE TABLE waste (
  request_id text NOT NULL,
  worker_id text NOT NULL,
  attempt integer NOT NULL,
  reason text NOT NULL CHECK (reason IN ('duplicate', 'closed')),
  tenant_id text NOT NULL,
  batch_id text,
  prompt_tokens integer NOT NULL,
  completion_tokens integer NOT NULL,
  recorded_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (request_id, worker_id, attempt)
);

-- Outbox: whoever makes a state move inserts the event in the same transaction. webhooks delivers it.
CREATE TABLE events (
  id text PRIMARY KEY,                               -- evt_…; the webhook-id
  tenant_id text NOT NULL,
  type text NOT NULL,                                -- batch.completed, batch.failed, batch.expired, batch.cancelled
  data jsonb NOT NULL,                               -- {"id": "batch_…"}
  created_at timestamptz NOT NULL DEFAULT now(),
  fanned_out_at timestamptz                          -- deliveries exist for every endpoint of the tenant
);
CREATE INDEX events_open ON events (created_at) WHERE fanned_out_at IS NULL;

CREATE TABLE webhook_endpoints (
  id text PRIMARY KEY,                               -- we_…
  tenant_id text NOT NULL REFERENCES tenants (id),
  url text NOT NULL,
  secret text NOT NULL,                              -- whsec_…
  events text[] NOT NULL,                            -- types wanted; empty: all
  created_at timestamptz NOT NULL DEFAULT now(),
  disabled_at timestamptz,
  disabled_reason text,
  failing_since timestamptz
);
CREATE INDEX webhook_endpoints_by_tenant ON webhook_endpoints (tenant_id);

CREATE TABLE webhook_deliveries (
  event_id text NOT NULL REFERENCES events (id),
  endpoint_id text NOT NULL REFERENCES webhook_endpoints (id) ON DELETE CASCADE,
  status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'delivered', 'failed')),
  attempts integer NOT NULL DEFAULT 0,
  next_at timestamptz NOT NULL DEFAULT now(),        -- also the lease while one is under way
  last_status integer,
  last_error text,
  delivered_at timestamptz,
  PRIMARY KEY (event_id, endpoint_id)
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (next_at) WHERE status = 'pending';

-- Which models which pool serves, from the workers' announcements. scheduler only.
CREATE TABLE models (
  pool text NOT NULL,
  model text NOT NULL,
  engine text NOT NULL,                              -- e.g. vllm, ollama, engine-sim
  context_tokens integer,
  first_seen_at timestamptz NOT NULL DEFAULT now(),
  last_seen_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (pool, model)
);
