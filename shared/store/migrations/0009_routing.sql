-- Which pool a chunk went to, and why. scheduler only.
ALTER TABLE chunks ADD COLUMN route_reason text;     -- of its latest attempt, one sentence

-- Entries come in the order of time, so this costs next to nothing and finds a day's; read for the caps of managed pools.
CREATE INDEX ledger_by_time ON ledger USING brin (occurred_at) WITH (pages_per_range = 32, autosummarize = on);
