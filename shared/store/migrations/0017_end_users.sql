-- End users, as requests name them, so that what is theirs can be found and erased. Who writes what is in ARCHITECTURE.md.

-- The key of the hashes that stand for a tenant's end users. Made here, never changed.
ALTER TABLE tenants ADD COLUMN end_user_key bytea NOT NULL
  DEFAULT sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));

-- Whom a request was sent for: a keyed hash of what it named; null: nobody, or erased. Part of the commitment.
ALTER TABLE requests ADD COLUMN end_user bytea;
CREATE INDEX requests_by_end_user ON requests (tenant_id, end_user) WHERE end_user IS NOT NULL;

ALTER TABLE erasures
  DROP CONSTRAINT erasures_selector_check,
  ADD CONSTRAINT erasures_selector_check CHECK (selector IN ('file', 'batch', 'key', 'tenant', 'end_user')),
  ADD COLUMN scanned_to text NOT NULL DEFAULT '';    -- of an end user: the last input file that was looked through
