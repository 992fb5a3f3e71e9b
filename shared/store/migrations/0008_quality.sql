-- The quality of answers. Who writes what is in ARCHITECTURE.md, "Who owns which state".

-- What every answer of the batch must fit: {json_schema | regex, max_retries}; null: anything goes (gateway).
ALTER TABLE batches ADD COLUMN answer_check jsonb;

-- check: answers that did not fit the check of their batch, and were asked for again.
ALTER TABLE waste
  DROP CONSTRAINT waste_reason_check,
  ADD CHECK (reason IN ('duplicate', 'closed', 'failed', 'unfinished', 'check'));

-- What was measured of a batch's answers without a model, added up. results only.
CREATE TABLE batch_quality (
  batch_id text NOT NULL,
  measure text NOT NULL CHECK (measure IN ('repetition', 'perplexity')),
  answers integer NOT NULL,                          -- of which it could be measured
  total double precision NOT NULL,                   -- Σ of the values
  over integer NOT NULL,                             -- answers beyond the threshold in force
  buckets integer[] NOT NULL,                        -- answers by value, in the steps of @forebay/quality
  PRIMARY KEY (batch_id, measure)
);

-- How much of a tenant's answers a judge model looks at; without a row, what the setting says. gateway only.
CREATE TABLE tenant_quality (
  tenant_id text PRIMARY KEY REFERENCES tenants (id),
  judge_share real NOT NULL CHECK (judge_share BETWEEN 0 AND 1),
  updated_at timestamptz NOT NULL DEFAULT now()
);

-- Batches of which a sample goes, or went, to the judge model; without a judge batch none of it does. scheduler only.
CREATE TABLE judge_runs (
  batch_id text PRIMARY KEY REFERENCES batches (id),
  judge_batch_id text UNIQUE REFERENCES batches (id),
  sampled integer NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  read_at timestamptz,                               -- the judge's answers are in quality_scores
  scored integer NOT NULL DEFAULT 0,
  unscored integer NOT NULL DEFAULT 0,               -- of which the judge gave no scores that could be read
  flagged integer NOT NULL DEFAULT 0
);
-- Batches that ended lately are looked for.
CREATE INDEX batches_by_end ON batches (completed_at) WHERE status = 'completed';
CREATE INDEX judge_runs_open ON judge_runs (judge_batch_id) WHERE read_at IS NULL;

-- What the judge model gave an answer, from 1 (bad) to 5 (good). scheduler only.
CREATE TABLE quality_scores (
  request_id text PRIMARY KEY,
  tenant_id text NOT NULL,
  batch_id text NOT NULL,
  model text NOT NULL,                               -- that answered
  judge_model text NOT NULL,
  safety smallint NOT NULL CHECK (safety BETWEEN 1 AND 5),
  coherence smallint NOT NULL CHECK (coherence BETWEEN 1 AND 5),
  factuality smallint NOT NULL CHECK (factuality BETWEEN 1 AND 5),
  bias smallint NOT NULL CHECK (bias BETWEEN 1 AND 5),
  judged_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX quality_scores_by_batch ON quality_scores (batch_id);

-- Answers that a person is to look at. scheduler inserts, gateway decides, once: open → approved | rejected.
CREATE TABLE reviews (
  id text PRIMARY KEY,                               -- review_…
  tenant_id text NOT NULL REFERENCES tenants (id),
  request_id text NOT NULL UNIQUE REFERENCES quality_scores (request_id),
  reasons text[] NOT NULL,                           -- the criteria whose score is below the least allowed
  status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'approved', 'rejected')),
  note text,
  decided_by text,                                   -- the id of the API key
  decided_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  CHECK ((status = 'open') = (decided_at IS NULL))
);
CREATE INDEX reviews_by_tenant ON reviews (tenant_id, created_at DESC, id DESC);
