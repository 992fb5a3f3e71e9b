-- Aliases of a batch's lines, rollouts of a model's version, and why a live request went where it did. Who writes what
-- is in ARCHITECTURE.md, "Who owns which state".

-- The models that its lines run on, when they name an alias; null: `model` itself (scheduler).
ALTER TABLE batches ADD COLUMN models text[];

-- The model that its lines run on, when they name an alias; null: the batch's (scheduler).
ALTER TABLE chunks ADD COLUMN model text;

-- Why a live request went to its pool and model, one sentence; null: there was nothing to choose (results).
ALTER TABLE requests ADD COLUMN route_reason text;

-- Rollouts. running ─▶ promoted | rolled_back. gateway inserts and moves on an admin's word, scheduler by what it
-- measures; each move is one statement that holds for the weight and the state it saw.
CREATE TABLE rollouts (
  id text PRIMARY KEY,                               -- rollout_…
  tenant_id text NOT NULL,                           -- of the admin who began it: whose webhooks are told
  model text NOT NULL,
  from_version text,                                 -- null: the pools that name no version of it
  to_version text NOT NULL,
  state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'promoted', 'rolled_back')),
  weight integer NOT NULL CHECK (weight BETWEEN 0 AND 100), -- per cent of the requests that go to to_version
  steps integer[] NOT NULL,                          -- the weights that it goes through by itself, growing
  rules jsonb NOT NULL,                              -- when it goes on and when it goes back
  figures jsonb,                                     -- what was measured last
  reason text NOT NULL,                              -- of the latest move, one sentence
  created_at timestamptz NOT NULL DEFAULT now(),
  stepped_at timestamptz NOT NULL DEFAULT now(),     -- since when its weight is what it is
  ended_at timestamptz,
  CHECK ((state = 'running') = (ended_at IS NULL))
);
CREATE UNIQUE INDEX rollouts_running ON rollouts (model) WHERE state = 'running';
CREATE INDEX rollouts_by_model ON rollouts (model, created_at DESC);

-- Each move of a rollout. Whoever makes it, same statement.
CREATE TABLE rollout_moves (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  rollout_id text NOT NULL REFERENCES rollouts (id) ON DELETE CASCADE,
  moved_at timestamptz NOT NULL DEFAULT now(),
  by text NOT NULL CHECK (by IN ('admin', 'forebay')),
  state text NOT NULL,
  weight integer NOT NULL,
  reason text NOT NULL
);
CREATE INDEX rollout_moves_by_rollout ON rollout_moves (rollout_id, id);

-- Requests that were answered by the small and the large model of a complexity rule, and whether the answers agree.
-- gateway only.
CREATE TABLE complexity_checks (
  request_id text PRIMARY KEY,
  checked_at timestamptz NOT NULL DEFAULT now(),
  alias text NOT NULL,
  small text NOT NULL,
  large text NOT NULL,
  complexity real NOT NULL,
  agreed boolean NOT NULL
);
CREATE INDEX complexity_checks_by_alias ON complexity_checks (alias, small, large, checked_at DESC);
