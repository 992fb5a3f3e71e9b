/** A bug that is put into a copy of the results service, to see whether the suite catches it. */
export interface PlantedBug {
  name: string
  /** In services/results/src. */
  file: string
  search: string
  replace: string
  /** Kills it takes to show: what is only wrong when a process dies. */
  kills?: number
}

const commit = 'commit-events.ts'
const progress = 'write-progress.ts'
const ledger = 'write-ledger.ts'
const requests = 'write-requests.ts'
const waste = 'write-waste.ts'

/** Each is one plausible slip. The text searched for must be there, so that none goes stale unseen. */
export const plantedBugs: readonly PlantedBug[] = [
  {
    name: 'every delivery counts',
    file: commit,
    search: 'results.filter(({ arrival }) => ids.has(arrival.requestId))',
    replace: 'results',
  },
  {
    name: 'no transaction',
    kills: 5,
    file: commit,
    search: 'options.db.tx(async (tx) =>',
    replace: `(async (work: (tx: Queryable) => Promise<CommitSummary>) => work({
    query: async (sql, values) => {
      if (sql.includes('UPDATE batches')) await new Promise((resolve) => setTimeout(resolve, 400))
      return options.db.query(sql, values)
    },
  }))(async (tx) =>`,
  },
  {
    name: 'failed requests are charged',
    file: commit,
    search: 'now && isCharged(arrival) ?',
    replace: "now && arrival.outcome !== 'cancelled' ?",
  },
  {
    name: 'counters are added twice',
    file: commit,
    search: 'await addToBatches(tx, batches)',
    replace: 'await addToBatches(tx, batches)\n    await addToBatches(tx, batches)',
  },
  { name: 'no ledger', file: requests, search: 'isCharged ? [insertEntries] : []', replace: '[]' },
  { name: 'no counters', file: commit, search: 'await addToBatches(tx, batches)', replace: '' },
  {
    name: 'no progress',
    file: commit,
    search: 'await addToChunks(tx, chunkDeltas(committed, openNotes))',
    replace: '',
  },
  {
    name: 'the last result of a group is forgotten',
    file: commit,
    search: 'return [...first.values()].sort((a, b) => (a.requestId < b.requestId ? -1 : 1))',
    replace: 'return [...first.values()].sort((a, b) => (a.requestId < b.requestId ? -1 : 1)).slice(0, -1)',
  },
  {
    name: 'the price of now instead of then is missing',
    file: commit,
    search: 'atMs, prices })',
    replace: 'atMs, prices: [] })',
  },
  {
    name: 'failed count as completed',
    file: progress,
    search: "if (arrival.outcome === 'succeeded') delta.completed++",
    replace: 'if (true) delta.completed++',
  },
  {
    name: 'the counter is set, not added to',
    file: progress,
    search: 'completed = batches.completed + rows.completed',
    replace: 'completed = rows.completed',
  },
  {
    name: 'cost is set, not added to',
    file: progress,
    search: 'cost_nano = batches.cost_nano + rows.cost_nano',
    replace: 'cost_nano = rows.cost_nano',
  },
  {
    name: 'chunks are set, not added to',
    file: progress,
    search: 'done = chunk_progress.done + excluded.done',
    replace: 'done = excluded.done',
  },
  {
    name: 'output tokens are taken for input',
    file: progress,
    search: 'delta.promptTokens += usage.promptTokens',
    replace: 'delta.promptTokens += usage.completionTokens',
  },
  { name: 'one nano too much', file: ledger, search: 'charge.amountNano)]', replace: 'charge.amountNano + 1)]' },
  {
    name: 'amounts are rounded to cents',
    file: ledger,
    search: 'charge.amountNano)]',
    replace: 'Math.round(charge.amountNano / 1e7) * 1e7)]',
  },
  {
    name: 'unknown cached tokens become none',
    file: requests,
    search: "cached_tokens: ['int', ({ arrival: a }) => a.usage.cachedTokens]",
    replace: "cached_tokens: ['int', ({ arrival: a }) => a.usage.cachedTokens ?? 0]",
  },
  {
    name: 'the body hash is not kept',
    file: requests,
    search: "body_hash: ['text', ({ arrival: a }) => a.bodyHash]",
    replace: "body_hash: ['text', () => null]",
  },
  {
    name: 'a duplicate overwrites',
    file: requests,
    search: 'ON CONFLICT (born, id) DO NOTHING RETURNING id',
    replace: 'ON CONFLICT (born, id) DO UPDATE SET attempt = excluded.attempt RETURNING id',
  },
  {
    name: 'every duplicate is waste',
    file: waste,
    search: 'return winner?.worker_id !== a.workerId || winner.attempt !== a.attempt',
    replace: 'return true',
  },
  {
    name: 'no waste',
    file: waste,
    search: 'if (wasted.length === 0) return []',
    replace: 'if (wasted.length >= 0) return []',
  },
  {
    name: 'acknowledged before it is committed',
    kills: 3,
    file: 'pool-consumer.ts',
    search: '    const startedMs = clock.now()\n',
    replace:
      "    const startedMs = clock.now()\n    await Promise.all(group.map((leased) => this.#receiver.settle(leased, { kind: 'done' })))\n    await clock.sleep(400)\n",
  },
]
