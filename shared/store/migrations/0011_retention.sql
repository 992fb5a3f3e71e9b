-- How long what is kept, and its erasure. Who writes what is in ARCHITECTURE.md, "Who owns which state".

-- How long a tenant's things are kept; null, or no row: as the settings say. gateway only.
CREATE TABLE tenant_retention (
  tenant_id text PRIMARY KEY REFERENCES tenants (id),
  input_days integer CHECK (input_days BETWEEN 0 AND 36500),     -- uploads, since their last use
  output_days integer CHECK (output_days BETWEEN 0 AND 36500),   -- output and error files, and the parts they are made of
  audit_days integer CHECK (audit_days BETWEEN 1 AND 36500),
  cache_seconds integer CHECK (cache_seconds BETWEEN 0 AND 86400),
  zero boolean NOT NULL DEFAULT false,               -- nothing is kept but for the time to download it
  updated_at timestamptz NOT NULL DEFAULT now()
);

-- How far retention has emptied a tenant's audit log: rows of days before it are gone, and none is taken any more.
-- results only.
CREATE TABLE audit_swept (
  tenant_id text PRIMARY KEY,
  swept_to date NOT NULL,
  through_block bigint NOT NULL
);

-- What is to be erased. gateway inserts; scheduler does it, and every step of it may be repeated.
CREATE TABLE erasures (
  id text PRIMARY KEY,                               -- ers_…
  tenant_id text NOT NULL REFERENCES tenants (id),
  selector text NOT NULL CHECK (selector IN ('file', 'batch', 'key', 'tenant')),
  target text NOT NULL,                              -- the id of what is named; the tenant's for all of it
  status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'running', 'completed')),
  waiting_for text,                                  -- what it waits for, in words
  requested_by text NOT NULL,                        -- the API key
  files integer NOT NULL DEFAULT 0,
  batches integer NOT NULL DEFAULT 0,
  requests integer NOT NULL DEFAULT 0,               -- audit rows emptied
  kept_files text[] NOT NULL DEFAULT '{}',           -- inputs that other batches read, too
  created_at timestamptz NOT NULL DEFAULT now(),     -- what came later is not erased
  completed_at timestamptz,
  swept_again_at timestamptz,                        -- when parts were looked for that a worker brought late
  claimed_until timestamptz,
  CHECK ((status = 'completed') = (completed_at IS NOT NULL))
);
CREATE INDEX erasures_by_tenant ON erasures (tenant_id, created_at DESC);
CREATE UNIQUE INDEX erasures_open ON erasures (tenant_id, selector, target) WHERE status <> 'completed';

ALTER TABLE files ADD COLUMN api_key_id text;        -- who uploaded it; null: a batch wrote it (gateway)
ALTER TABLE batches ADD COLUMN erased_at timestamptz; -- its content, and what is a person's in its rows, is gone (scheduler)
CREATE INDEX batches_by_input ON batches (input_file_id);

-- Told by audit_swept, tenant by tenant.
ALTER TABLE audit_clock DROP COLUMN swept_to;
