-- What was measured of a batch's answers is told apart by pool and model, so that two versions of a model, which run in
-- pools of their own, can be compared. Rows from before are of no pool. results only.
ALTER TABLE batch_quality
  ADD COLUMN pool text NOT NULL DEFAULT '',
  ADD COLUMN model text NOT NULL DEFAULT '',
  DROP CONSTRAINT batch_quality_pkey,
  ADD PRIMARY KEY (batch_id, measure, pool, model);
