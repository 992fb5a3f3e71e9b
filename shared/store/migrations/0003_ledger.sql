-- Money: projects, prices by model version, and a ledger that the database itself keeps append-only.

-- What a tenant's spending is told apart by; each API key belongs to one. gateway only.
CREATE TABLE projects (
  tenant_id text NOT NULL REFERENCES tenants (id),
  id text NOT NULL CHECK (id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
  name text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id)
);

-- Every tenant has the project 'default', however the tenant came to be.
CREATE FUNCTION add_default_project() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO projects (tenant_id, id, name) VALUES (NEW.id, 'default', 'Default');
  RETURN NULL;
END $$;
CREATE TRIGGER tenants_default_project AFTER INSERT ON tenants FOR EACH ROW EXECUTE FUNCTION add_default_project();
INSERT INTO projects (tenant_id, id, name) SELECT id, 'default', 'Default' FROM tenants;

-- A key's project never changes, so that what it spent stays where it was spent.
ALTER TABLE api_keys
  ADD COLUMN project_id text NOT NULL DEFAULT 'default',
  ADD FOREIGN KEY (tenant_id, project_id) REFERENCES projects (tenant_id, id);

ALTER TABLE prices ADD COLUMN model_version text;    -- null: every version
DO $$
BEGIN
  EXECUTE (SELECT 'ALTER TABLE prices DROP CONSTRAINT ' || quote_ident(conname) FROM pg_constraint
           WHERE conrelid = 'prices'::regclass AND contype = 'x');
END $$;
ALTER TABLE prices ADD CONSTRAINT prices_no_overlap EXCLUDE USING gist (
  (coalesce(tenant_id, '')) WITH =, model WITH =, (coalesce(model_version, '')) WITH =, usage_type WITH =,
  (coalesce(lane, '')) WITH =, tstzrange(effective_from, effective_to) WITH &&);

-- A price that was in force stays what it was: only its end may be set, once.
CREATE FUNCTION keep_price() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND OLD.effective_to IS NULL
    AND to_jsonb(NEW) - 'effective_to' = to_jsonb(OLD) - 'effective_to' THEN RETURN NEW;
  END IF;
  RAISE EXCEPTION 'the price book is append-only' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER prices_append_only BEFORE UPDATE OR DELETE ON prices FOR EACH ROW EXECUTE FUNCTION keep_price();

ALTER TABLE ledger
  ADD COLUMN project_id text DEFAULT 'default',      -- null: idle time
  ADD COLUMN model_version text,
  ADD COLUMN pool text,
  ADD COLUMN gpu_micros bigint CHECK (gpu_micros >= 0), -- its share of the GPUs' time, in microseconds; null: not measured
  ADD COLUMN compute_nano bigint,                    -- what that time costs in its pool; null: unknown
  ADD COLUMN corrects bigint REFERENCES ledger (id), -- the entry that this one corrects
  ADD COLUMN reason text,                            -- why it was corrected
  ALTER COLUMN tenant_id DROP NOT NULL,
  ALTER COLUMN model DROP NOT NULL,
  ALTER COLUMN lane DROP NOT NULL,
  -- Idle time belongs to nobody; everything else to a tenant's project.
  ADD CHECK (kind = 'idle' OR (tenant_id IS NOT NULL AND model IS NOT NULL AND lane IS NOT NULL)
             OR (kind = 'credit' AND tenant_id IS NOT NULL)),
  ADD CHECK (kind <> 'idle' OR amount_nano = 0),
  ADD CHECK (kind <> 'adjustment' OR corrects IS NOT NULL),
  ADD CHECK (kind <> 'credit' OR amount_nano <= 0);
ALTER TABLE ledger ADD CHECK ((tenant_id IS NULL) = (project_id IS NULL));
COMMENT ON COLUMN ledger.request_id IS 'The request; of a correction, its own id; of idle time, that of its interval.';
CREATE INDEX ledger_corrections ON ledger (corrects) WHERE corrects IS NOT NULL;

CREATE FUNCTION keep_ledger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the ledger is append-only: correct an entry with another' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER ledger_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger
  FOR EACH STATEMENT EXECUTE FUNCTION keep_ledger();

ALTER TABLE waste
  DROP CONSTRAINT waste_reason_check,
  -- unfinished: engine time of requests that ended without a result there, as those handed back.
  ADD CHECK (reason IN ('duplicate', 'closed', 'failed', 'unfinished')),
  ALTER COLUMN tenant_id DROP NOT NULL,
  ADD COLUMN pool text,
  ADD COLUMN model text,
  ADD COLUMN gpu_micros bigint,
  ADD COLUMN compute_nano bigint;

-- Where an answer came from: what is served from elsewhere than the engine is charged by another rule.
ALTER TABLE requests ADD COLUMN source text NOT NULL DEFAULT 'engine';
ALTER TABLE requests ADD COLUMN model_version text;
