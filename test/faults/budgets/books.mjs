/*
 * The independent half of the proof: plain SQL and own arithmetic, no code of the product. It looks at budgets, holds
 * and ledger while requests run, and compares them with what the clients saw in the end.
 */
import pg from 'pg'

/** Nano-units for a token of a real-time request, as the suite puts them into the price book. */
export const prices = { input: 150n, output: 600n }

/** Puts the suite's prices into a price book that is still empty. */
export async function setPrices(databaseUrl) {
  await withClient(databaseUrl, async (db) => {
    for (const [type, nano] of Object.entries(prices))
      await db.query(
        `INSERT INTO prices (model, usage_type, nano_per_million, effective_from) VALUES ('*', $1, $2, to_timestamp(0))`,
        [type, String(nano * 1_000_000n)],
      )
  })
}

/** The most that a body may cost: no token is shorter than a byte. */
export function mostNano(body, outputTokens) {
  return BigInt(Buffer.byteLength(body)) * prices.input + BigInt(outputTokens) * prices.output
}

/** Looks at the budgets every 25 ms until it is stopped, and collects what is wrong at any look. */
export async function watchBudgets(databaseUrl) {
  const db = new pg.Client({ connectionString: databaseUrl })
  await db.connect()
  const seen = { looks: 0, fullest: 0, problems: new Set() }
  let stopped = false
  const watching = (async () => {
    while (!stopped) {
      seen.looks++
      for (const budget of await standings(db)) {
        const { charged, hard, held, holds, name, spent } = budget
        if (spent > hard + holds) seen.problems.add(`${name}: ${spent} spent of ${hard}, with ${holds} of holds open`)
        if (spent + held > hard) seen.problems.add(`${name}: ${spent} spent and ${held} held, of ${hard}`)
        if (held !== holds) seen.problems.add(`${name}: ${held} is held, its holds come to ${holds}`)
        if (spent !== charged) seen.problems.add(`${name}: ${spent} is spent, the ledger says ${charged}`)
        if (hard > 0n) seen.fullest = Math.max(seen.fullest, Number(((spent + held) * 1000n) / hard) / 1000)
      }
      await new Promise((resolve) => setTimeout(resolve, 25))
    }
  })()
  return {
    seen,
    async stop() {
      stopped = true
      await watching
      await db.end()
    },
  }
}

/** How each budget stands, all at one moment: a statement sees one snapshot. */
async function standings(db) {
  const { rows } = await db.query(
    `SELECT b.scope || ' ' || b.scope_id AS name, b.hard_nano AS hard, p.spent_nano AS spent, p.held_nano AS held,
       (SELECT coalesce(sum(amount_nano), 0) FROM holds h WHERE h.budget_id = b.id) AS holds,
       (SELECT coalesce(sum(amount_nano), 0) FROM ledger l WHERE l.tenant_id = b.tenant_id
         AND (b.scope = 'tenant' OR l.api_key_id = b.scope_id)) AS charged
     FROM budgets b JOIN budget_periods p ON p.budget_id = b.id`,
  )
  return rows.map(({ name, ...amounts }) => ({
    name,
    ...Object.fromEntries(Object.entries(amounts).map(([key, value]) => [key, BigInt(value)])),
  }))
}

/** The id of the tenant's only key. */
export async function keyId(databaseUrl) {
  return withClient(databaseUrl, async (db) => (await db.query('SELECT id FROM api_keys')).rows[0].id)
}

/** How many requests were charged. */
export async function countCharges(databaseUrl) {
  return withClient(databaseUrl, async (db) =>
    Number((await db.query(`SELECT count(*) FROM ledger WHERE kind = 'usage'`)).rows[0].count),
  )
}

/** How much the tenant's budget has spent, and how much is held of it. */
export async function tenantBudget(databaseUrl) {
  return withClient(databaseUrl, async (db) => {
    const found = (await standings(db)).find(({ name }) => name.startsWith('tenant '))
    return { spent: found?.spent ?? 0n, held: found?.held ?? 0n }
  })
}

/** Ends the time of every hold that is left, as the clock would do in some minutes. Answers what they come to. */
export async function endHolds(databaseUrl) {
  return withClient(databaseUrl, async (db) => {
    const { rows } = await db.query('UPDATE holds SET expires_at = now() RETURNING amount_nano')
    return rows.reduce((sum, row) => sum + BigInt(row.amount_nano), 0n)
  })
}

/** How many holds there are. */
export async function countHolds(databaseUrl) {
  return withClient(databaseUrl, async (db) => Number((await db.query('SELECT count(*) FROM holds')).rows[0].count))
}

/**
 * Compares the ledger with what the clients saw: `answered` (request id → usage) and `refused` (request ids). `lost`:
 * answered and not charged. `doubled`: charged twice. `differenceNano`: what was charged beside what the usage costs.
 * A request whose client lost its connection may have been charged or not; its amount must fit its tokens.
 */
export async function compareCharges(databaseUrl, { answered, refused }) {
  return withClient(databaseUrl, async (db) => {
    const found = { charged: 0, lost: 0, doubled: 0, differenceNano: 0n, problems: [] }
    const { rows } = await db.query(
      `SELECT l.request_id, l.amount_nano, l.prompt_tokens, l.completion_tokens, r.outcome
       FROM ledger l LEFT JOIN requests r ON r.id = l.request_id WHERE l.kind = 'usage'`,
    )
    const charges = new Map()
    for (const row of rows) {
      found.charged++
      if (charges.has(row.request_id)) {
        found.doubled++
        found.problems.push(`${row.request_id} was charged twice`)
      }
      charges.set(row.request_id, row)
      if (row.outcome === null) found.problems.push(`${row.request_id} was charged and is in no audit row`)
      if (refused.has(row.request_id)) found.problems.push(`${row.request_id} was refused and charged`)
      const usage = answered.get(row.request_id) ?? row
      const cost = BigInt(usage.prompt_tokens) * prices.input + BigInt(usage.completion_tokens) * prices.output
      const off = BigInt(row.amount_nano) - cost
      found.differenceNano += off < 0n ? -off : off
    }
    for (const id of answered.keys()) {
      if (charges.has(id)) continue
      found.lost++
      found.problems.push(`${id} was answered and not charged`)
    }
    return { ...found, differenceNano: Number(found.differenceNano) }
  })
}

async function withClient(url, use) {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end()
  }
}
