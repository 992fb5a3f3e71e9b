-- Budgets: what a tenant, project or key may spend in a day, a month or altogether (UTC).

-- gateway only, on an admin's word.
CREATE TABLE budgets (
  id text PRIMARY KEY,                               -- budget_…
  tenant_id text NOT NULL REFERENCES tenants (id),
  scope text NOT NULL CHECK (scope IN ('tenant', 'project', 'key')),
  scope_id text NOT NULL,                            -- of the tenant, project or key
  period text NOT NULL CHECK (period IN ('day', 'month', 'total')),
  soft_nano bigint CHECK (soft_nano >= 0),           -- tells when it is reached
  hard_nano bigint CHECK (hard_nano >= 0),           -- nothing more is accepted
  currency text NOT NULL DEFAULT 'USD',
  created_at timestamptz NOT NULL DEFAULT now(),
  CHECK (soft_nano IS NOT NULL OR hard_nano IS NOT NULL),
  UNIQUE (tenant_id, scope, scope_id, period, currency)
);

-- results adds to spent; gateway and scheduler take holds; whoever ends a hold gives it back.
CREATE TABLE budget_periods (
  budget_id text NOT NULL REFERENCES budgets (id) ON DELETE CASCADE,
  starts_at timestamptz NOT NULL,                    -- the epoch for 'total'
  spent_nano bigint NOT NULL DEFAULT 0,
  held_nano bigint NOT NULL DEFAULT 0 CHECK (held_nano >= 0), -- Σ of its holds
  soft_reached_at timestamptz,
  PRIMARY KEY (budget_id, starts_at)
);

-- Room set aside for work that was accepted and is not charged yet: a batch's, or a block that one gateway spends from.
CREATE TABLE holds (
  id text NOT NULL,                                  -- the batch, or lease_…
  budget_id text NOT NULL,
  starts_at timestamptz NOT NULL,
  amount_nano bigint NOT NULL CHECK (amount_nano >= 0), -- what is left of it
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (id, budget_id),
  FOREIGN KEY (budget_id, starts_at) REFERENCES budget_periods (budget_id, starts_at) ON DELETE CASCADE
);
CREATE INDEX holds_by_expiry ON holds (expires_at);

CREATE FUNCTION budget_start(period text, at timestamptz) RETURNS timestamptz LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN period = 'total' THEN 'epoch'::timestamptz
    ELSE date_trunc(period, at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' END
$$;

-- Sets room aside in the budget's present period: `want` if there is as much, else what there is, but nothing below
-- `at_least`. Answers what was granted (0: nothing) and what room there was. Adds to a hold that is there already.
CREATE FUNCTION take_hold(budget text, hold text, want bigint, at_least bigint, lasts interval,
  OUT granted bigint, OUT room bigint, OUT period_start timestamptz) LANGUAGE plpgsql AS $$
DECLARE
  b budgets;
BEGIN
  SELECT * INTO b FROM budgets WHERE id = budget;
  granted := 0;
  IF b.hard_nano IS NULL THEN RETURN; END IF;
  period_start := budget_start(b.period, now());
  INSERT INTO budget_periods (budget_id, starts_at) VALUES (budget, period_start) ON CONFLICT DO NOTHING;
  SELECT b.hard_nano - spent_nano - held_nano INTO room FROM budget_periods
    WHERE budget_id = budget AND starts_at = period_start FOR UPDATE;
  granted := least(want, room);
  IF granted < at_least OR granted <= 0 THEN granted := 0; RETURN; END IF;
  UPDATE budget_periods SET held_nano = held_nano + granted WHERE budget_id = budget AND starts_at = period_start;
  INSERT INTO holds (id, budget_id, starts_at, amount_nano, expires_at)
    VALUES (hold, budget, period_start, granted, now() + lasts)
    ON CONFLICT (id, budget_id) DO UPDATE SET amount_nano = holds.amount_nano + excluded.amount_nano,
      expires_at = excluded.expires_at;
END $$;

-- Gives back what is left of holds, or so much of it.
CREATE FUNCTION release_hold(hold text, budget text, amount bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  h holds;
  freed bigint;
BEGIN
  -- The period first, as everywhere: so nobody waits for another in a circle.
  PERFORM FROM budget_periods p JOIN holds ON holds.budget_id = p.budget_id AND holds.starts_at = p.starts_at
    WHERE holds.id = hold AND holds.budget_id = budget FOR UPDATE OF p;
  SELECT * INTO h FROM holds WHERE id = hold AND budget_id = budget FOR UPDATE;
  IF NOT FOUND THEN RETURN 0; END IF;
  freed := least(h.amount_nano, amount);
  UPDATE budget_periods SET held_nano = held_nano - freed WHERE budget_id = budget AND starts_at = h.starts_at;
  IF freed = h.amount_nano THEN DELETE FROM holds WHERE id = hold AND budget_id = budget;
  ELSE UPDATE holds SET amount_nano = amount_nano - freed WHERE id = hold AND budget_id = budget;
  END IF;
  RETURN freed;
END $$;
