-- How far the semantic cache is trusted: what was measured of it, by tenant and model. gateway only. The answers
-- themselves are in the gateways' memory, or in semantic_answers, which a gateway makes where the server has pgvector.
CREATE TABLE semantic_trust (
  tenant_id text NOT NULL REFERENCES tenants (id),
  model text NOT NULL,
  state text NOT NULL DEFAULT 'shadow' CHECK (state IN ('shadow', 'serving', 'stopped')),
  samples integer NOT NULL DEFAULT 0 CHECK (samples >= 0),
  errors integer NOT NULL DEFAULT 0 CHECK (errors BETWEEN 0 AND samples),
  updated_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, model)
);
