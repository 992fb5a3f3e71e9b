-- Many pools at once. Who writes what is in ARCHITECTURE.md, "Who owns which state".

-- What an operator wants of a pool. gateway only.
CREATE TABLE pools (
  name text PRIMARY KEY,
  drained_at timestamptz                             -- since when nothing new goes there; null: in use
);

-- The tag that the pools must carry where this tenant's requests run, when a request names none itself. gateway only.
ALTER TABLE tenants ADD COLUMN residency text;

ALTER TABLE batches
  ADD COLUMN residency text,                         -- the tag that the pools must carry where it runs (gateway)
  ADD COLUMN waiting_for text;                       -- what its chunks wait for, in words, when none can go out (scheduler)

ALTER TABLE chunks
  ADD COLUMN pool text,                              -- where its latest attempt went
  ADD COLUMN staged_in text[] NOT NULL DEFAULT '{}'; -- pools whose own store holds a copy of its lines
UPDATE chunks SET pool = batches.pool FROM batches WHERE batches.id = chunks.batch_id AND chunks.status <> 'planned';
CREATE INDEX chunks_staged ON chunks (batch_id, index) WHERE staged_in <> '{}';
