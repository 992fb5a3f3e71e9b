-- Content of live requests, where a tenant wishes it kept. Who writes what is in ARCHITECTURE.md.
ALTER TABLE tenant_retention
  ADD COLUMN keep_live boolean NOT NULL DEFAULT false, -- live requests' bodies and answers are kept (gateway)
  -- The first day of which bodies, and answers, may lie in the stores; null: none was ever wished (gateway begins, scheduler).
  ADD COLUMN live_requests_from date,
  ADD COLUMN live_answers_from date;
