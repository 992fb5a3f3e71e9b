-- Scaling. Who writes what is in ARCHITECTURE.md, "Who owns which state".

-- What each pool should have, as last decided. autoscaler only.
CREATE TABLE scaling (
  pool text PRIMARY KEY,
  decided_at timestamptz NOT NULL DEFAULT now(),
  ready integer NOT NULL,                            -- workers that work
  warming integer NOT NULL,                          -- workers asked for that do not work yet
  desired integer NOT NULL CHECK (desired >= 0),
  wanted integer NOT NULL,                           -- what the load alone asks for
  reason text NOT NULL,
  stuck boolean NOT NULL,                            -- workers asked for long ago do not come
  outstanding_tokens double precision NOT NULL,
  live_tokens_per_second double precision NOT NULL
);

-- The decisions that changed something, the last hundred of each pool. autoscaler only.
CREATE TABLE scaling_decisions (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  pool text NOT NULL,
  decided_at timestamptz NOT NULL DEFAULT now(),
  before integer NOT NULL,
  desired integer NOT NULL,
  reason text NOT NULL
);
CREATE INDEX scaling_decisions_by_pool ON scaling_decisions (pool, id DESC);

-- The last minute's live requests are read every few seconds.
CREATE INDEX requests_by_commit ON requests USING brin (committed_at) WITH (pages_per_range = 16);
