-- Caches of answers. Who writes what is in ARCHITECTURE.md, "Who owns which state". The answers themselves are not
-- here: they are in Redis or in the gateways' memory.

-- Part of every cached answer's key: raising one puts out of reach, within seconds, whatever was stored under it.
-- '*' stands for every tenant, or every model. Written through flush_cache alone.
CREATE TABLE cache_epochs (
  tenant_id text NOT NULL,
  model text NOT NULL,
  epoch bigint NOT NULL,
  bumped_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, model)
);

-- Call it in the transaction that makes what is cached wrong or unwanted. For a tenant and every model the gateways
-- also delete what is stored, not only its reachability.
CREATE FUNCTION flush_cache(of_tenant text, of_model text) RETURNS bigint LANGUAGE sql AS $$
  INSERT INTO cache_epochs (tenant_id, model, epoch) VALUES (coalesce(of_tenant, '*'), coalesce(of_model, '*'), 1)
  ON CONFLICT (tenant_id, model) DO UPDATE SET epoch = cache_epochs.epoch + 1, bumped_at = now()
  RETURNING epoch
$$;

-- A new or changed price: an answer's body may state what it cost.
CREATE FUNCTION flush_cache_of_price() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- The flush of a whole tenant deletes; a price of all its models need not.
  PERFORM flush_cache(NEW.tenant_id, CASE WHEN NEW.model = '*' AND NEW.tenant_id IS NOT NULL THEN '**' ELSE NEW.model END);
  RETURN NULL;
END
$$;
CREATE TRIGGER prices_flush_cache AFTER INSERT OR UPDATE ON prices
  FOR EACH ROW EXECUTE FUNCTION flush_cache_of_price();

-- What a tenant wants of the caches; without a row the defaults. gateway only.
CREATE TABLE tenant_caches (
  tenant_id text PRIMARY KEY REFERENCES tenants (id),
  exact boolean NOT NULL DEFAULT true,
  semantic boolean NOT NULL DEFAULT false,
  updated_at timestamptz NOT NULL DEFAULT now()
);
