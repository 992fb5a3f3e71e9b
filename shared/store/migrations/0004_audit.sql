-- The audit log by months, and the chain of hashes over it. Who writes what is in ARCHITECTURE.md.

-- The day (UTC) in the time that an id begins with: of a batch, of a request, or of a line, which has its batch's. The
-- epoch for an id without one. A function of the id alone: so a request has one partition, whenever it ends, and its
-- row can be inserted only once. The same as bornOf in @forebay/contracts.
CREATE FUNCTION born_of(id text) RETURNS date LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN id ~ '^(batch_req_|batch_|req_)0[0-9a-f]{31}'
    THEN (timestamp 'epoch' + ('x' || lpad(substring(id FROM '_(0[0-9a-f]{11})'), 16, '0'))::bit(64)::bigint
          * interval '1 millisecond')::date
    ELSE date '1970-01-01' END
$$;

-- What a transaction's place in the order of sealing is: its own number, moved on when the database was restored into
-- a server whose numbers are lower. results only. One row.
CREATE TABLE audit_clock (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  xid_offset bigint NOT NULL DEFAULT 0,
  sealed_to bigint NOT NULL DEFAULT 0,               -- every row below it is in a block
  swept_to date                                      -- days before it have left the log everywhere
);
CREATE FUNCTION audit_order() RETURNS bigint LANGUAGE sql STABLE AS $$
  SELECT pg_current_xact_id()::text::bigint + xid_offset FROM audit_clock
$$;

ALTER TABLE requests RENAME TO requests_before;
ALTER TABLE requests_before RENAME CONSTRAINT requests_pkey TO requests_before_pkey;
DROP INDEX requests_by_line, requests_by_chunk, requests_by_tenant;

-- The audit log: one row per finished request. results only inserts; erasure empties what is a person's. The primary
-- key is what makes counting and charging exactly-once.
CREATE TABLE requests (
  born date NOT NULL,                                -- born_of(id)
  id text NOT NULL,                                  -- batch line: batch_req_<batch>_<line>; real-time: req_…
  tenant_id text NOT NULL,
  project_id text,
  api_key_id text,
  batch_id text,
  line integer,                                      -- 1-based line of the input file
  chunk integer,
  custom_id text,
  endpoint text NOT NULL,
  model text NOT NULL,
  model_version text,                                -- as the engine names it; null: it did not say
  pool text NOT NULL,
  lane text NOT NULL,
  worker_id text NOT NULL,
  attempt integer NOT NULL,
  source text NOT NULL DEFAULT 'engine' CHECK (source IN ('engine', 'identical', 'exact_cache', 'semantic_cache')),
  outcome text NOT NULL CHECK (outcome IN ('succeeded', 'failed', 'cancelled')),
  status_code integer NOT NULL,
  error_code text,
  prompt_tokens integer NOT NULL DEFAULT 0,
  cached_tokens integer,                             -- null: the engine did not say
  completion_tokens integer NOT NULL DEFAULT 0,
  reasoning_tokens integer NOT NULL DEFAULT 0,
  gpu_micros bigint,                                 -- its share of the engine's time; null: not measured
  queued_ms integer NOT NULL DEFAULT 0,              -- on the queue and in the worker, until it was sent to the engine
  batcher_ms integer NOT NULL DEFAULT 0,             -- of these, in the worker, until the batcher let it in
  first_token_ms integer,                            -- prefill: from there to the first token; null: not seen
  duration_ms integer NOT NULL DEFAULT 0,            -- at the engine; less the prefill it is the decode
  body_hash bytea,                                   -- SHA-256 of the body
  input_key text,                                    -- where the request's bytes lie; null: not kept
  input_offset bigint,
  input_bytes integer,
  part_key text,                                     -- where the answer's bytes lie; null: not kept
  part_offset bigint,
  part_bytes integer,
  salt uuid DEFAULT gen_random_uuid(),               -- of the commitment to custom_id and body_hash; null: they are erased
  commitment bytea,                                  -- what is left of the two, once they are erased
  commit_order bigint NOT NULL DEFAULT audit_order(),
  finished_at timestamptz NOT NULL,
  committed_at timestamptz NOT NULL DEFAULT now(),   -- less finished_at it is the time to store
  CHECK ((commitment IS NULL) <> (salt IS NULL)),
  CHECK (commitment IS NULL OR (custom_id IS NULL AND body_hash IS NULL)),
  PRIMARY KEY (born, id)
) PARTITION BY RANGE (born);
CREATE UNIQUE INDEX requests_by_line ON requests (born, batch_id, line) WHERE batch_id IS NOT NULL;
CREATE INDEX requests_by_chunk ON requests (batch_id, chunk) WHERE batch_id IS NOT NULL;
CREATE INDEX requests_by_order ON requests (commit_order, tenant_id);

-- Days that have no month of their own yet.
CREATE TABLE requests_rest PARTITION OF requests DEFAULT;

-- Makes the partition of a day's month, with what the rest holds of it. Answers whether it was missing.
CREATE FUNCTION add_audit_month(day date) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  first_day date := date_trunc('month', day)::date;
  next_month date := (date_trunc('month', day) + interval '1 month')::date;
  name text := 'requests_' || to_char(day, 'YYYY_MM');
BEGIN
  IF to_regclass(name) IS NOT NULL THEN RETURN false; END IF;
  PERFORM pg_advisory_xact_lock(hashtext('add_audit_month'));
  IF to_regclass(name) IS NOT NULL THEN RETURN false; END IF;
  LOCK TABLE requests_rest IN ACCESS EXCLUSIVE MODE;
  EXECUTE format('CREATE TABLE %I (LIKE requests INCLUDING ALL)', name);
  EXECUTE format('WITH moved AS (DELETE FROM requests_rest WHERE born >= %L AND born < %L RETURNING *)
    INSERT INTO %I SELECT * FROM moved', first_day, next_month, name);
  EXECUTE format('ALTER TABLE requests ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name, first_day, next_month);
  RETURN true;
END $$;

SELECT add_audit_month((date_trunc('month', now() AT TIME ZONE 'UTC') + month * interval '1 month')::date)
  FROM generate_series(-1, 2) AS month;
SELECT add_audit_month(born) FROM (SELECT DISTINCT date_trunc('month', born_of(id))::date AS born FROM requests_before) AS m
  WHERE born > date '1970-01-01';

-- What was there comes first in the order, a thousand rows to a number.
INSERT INTO audit_clock (xid_offset) SELECT count(*) / 1000 + 1 FROM requests_before;
INSERT INTO requests (born, id, tenant_id, api_key_id, batch_id, line, chunk, custom_id, endpoint, model, model_version,
    pool, lane, worker_id, attempt, source, outcome, status_code, error_code, prompt_tokens, cached_tokens,
    completion_tokens, reasoning_tokens, queued_ms, first_token_ms, duration_ms, part_key, part_offset, part_bytes,
    commit_order, finished_at, committed_at)
  SELECT born_of(id), id, tenant_id, api_key_id, batch_id, line, chunk, custom_id, endpoint, model, model_version,
    pool, lane, worker_id, attempt, source, outcome, status_code, error_code, prompt_tokens, cached_tokens,
    completion_tokens, reasoning_tokens, queued_ms, first_token_ms, duration_ms, part_key, part_offset, part_bytes,
    (row_number() OVER (ORDER BY committed_at, id) - 1) / 1000, finished_at, committed_at
  FROM requests_before;
DROP TABLE requests_before;

-- What was done to the log itself: an erasure, what retention removed. Part of the chain, as rows are. Whoever does it
-- inserts, in the same transaction; never changed.
CREATE TABLE audit_events (
  id text PRIMARY KEY,                               -- aev_…
  tenant_id text NOT NULL,
  action text NOT NULL CHECK (action IN ('erasure', 'retention')),
  actor text NOT NULL,                               -- the API key, or the process
  data jsonb NOT NULL,
  at timestamptz NOT NULL DEFAULT now(),
  commit_order bigint NOT NULL DEFAULT audit_order()
);
CREATE INDEX audit_events_by_order ON audit_events (commit_order, tenant_id);

-- The chain: a tenant's rows and events of a range of the order, each block holding the hash of the one before. results
-- only. What is hashed, and how, is in shared/audit.
CREATE TABLE audit_blocks (
  tenant_id text NOT NULL,
  seq bigint NOT NULL,                               -- from 1, without gaps
  version integer NOT NULL,                          -- of the encoding
  from_order bigint NOT NULL,
  to_order bigint NOT NULL,                          -- exclusive
  entries integer NOT NULL CHECK (entries > 0),      -- rows and events
  last_born date NOT NULL,                           -- of its youngest row: when retention removes past it, all may be gone
  entries_hash bytea NOT NULL,                       -- SHA-256 over the hashes of its entries, in order
  entry_hashes bytea,                                -- 32 bytes each; null once retention removed them all
  prev_hash bytea NOT NULL,
  hash bytea NOT NULL,
  sealed_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, seq)
);
CREATE INDEX audit_blocks_by_order ON audit_blocks (tenant_id, to_order);

CREATE TABLE audit_keys (
  id text PRIMARY KEY,                               -- the first 16 hex digits of the SHA-256 of the public key
  public_key text NOT NULL,                          -- Ed25519, SPKI as PEM
  first_used_at timestamptz NOT NULL DEFAULT now()
);

-- A signed statement of how far a tenant's chain had come. results only.
CREATE TABLE audit_checkpoints (
  tenant_id text NOT NULL,
  seq bigint NOT NULL,                               -- the last block it speaks for
  hash bytea NOT NULL,
  key_id text NOT NULL REFERENCES audit_keys (id),
  signature bytea NOT NULL,
  signed_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, seq)
);
