-- What the order of a batch brings. Who writes what is in ARCHITECTURE.md, "Who owns which state".
ALTER TABLE batches
  -- As planned: shares of the prompt tokens that a prefix cache is expected to find, in the plan's order and in the
  -- file's; null before a batch is planned (scheduler).
  ADD COLUMN expected_cached_share real,
  ADD COLUMN file_order_cached_share real,
  -- As run: of requests that an engine computed and told of its cache, prompt tokens and those found in it; how many
  -- requests it did not tell of; how many got the answer of an identical one (results).
  ADD COLUMN told_prompt_tokens bigint NOT NULL DEFAULT 0,
  ADD COLUMN told_cached_tokens bigint NOT NULL DEFAULT 0,
  ADD COLUMN untold integer NOT NULL DEFAULT 0,
  ADD COLUMN identical integer NOT NULL DEFAULT 0;

-- Its first request shares a prefix with the last of the chunk before (scheduler).
ALTER TABLE chunks ADD COLUMN continues boolean NOT NULL DEFAULT false;
