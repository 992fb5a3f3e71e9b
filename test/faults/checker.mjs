// The independent checker: plain JavaScript, no code of the product. It reads what was sent, what came back and what
// the database says was charged, and does its own sums.
import pg from 'pg'

/**
 * @typedef {object} BatchFiles
 * @property {string} id
 * @property {string} status         final status of the batch
 * @property {{total: number, completed: number, failed: number}} counts
 * @property {string} input          the file that was uploaded
 * @property {string} output         the output file, '' when there is none
 * @property {string} errors         the error file, '' when there is none
 */

/**
 * Compares batches with the ledger. `lost`: lines in neither file. `doubled`: lines that came back more than once, or
 * that nobody sent. `overcharged`: requests charged more than once, or not what their own usage costs, or charged
 * without an answer.
 *
 * @param {{ databaseUrl: string, batches: BatchFiles[] }} options
 * @returns {Promise<{ lines: number, lost: number, doubled: number, overcharged: number, problems: string[] }>}
 */
export async function check({ databaseUrl, batches }) {
  const db = new pg.Client({ connectionString: databaseUrl })
  await db.connect()
  const report = { lines: 0, lost: 0, doubled: 0, overcharged: 0, problems: [] }
  try {
    const { rows: prices } = await db.query('SELECT * FROM prices')
    for (const batch of batches) {
      const { rows: charges } = await db.query("SELECT * FROM ledger WHERE batch_id = $1 AND kind = 'usage'", [
        batch.id,
      ])
      checkBatch(batch, charges, prices, report)
    }
    const { rows: double } = await db.query(
      'SELECT request_id FROM ledger GROUP BY request_id, kind HAVING count(*) > 1',
    )
    for (const row of double) fault(report, 'overcharged', `${row.request_id} has two entries of one kind`)
    return report
  } finally {
    await db.end()
  }
}

function checkBatch(batch, charges, prices, report) {
  const sent = parse(batch.input).map((line) => line.custom_id)
  const good = parse(batch.output)
  const bad = parse(batch.errors)
  report.lines += sent.length

  const seen = new Map()
  for (const line of [...good, ...bad]) seen.set(line.custom_id, (seen.get(line.custom_id) ?? 0) + 1)
  const expected = new Set(sent)
  for (const id of sent) if (!seen.has(id)) fault(report, 'lost', `${batch.id}: ${id} is in neither file`)
  for (const [id, count] of seen) {
    if (count > 1) fault(report, 'doubled', `${batch.id}: ${id} came back ${count} times`)
    if (!expected.has(id)) fault(report, 'doubled', `${batch.id}: ${id} was never sent`)
  }

  const { total, completed, failed } = batch.counts
  if (total !== sent.length || completed !== good.length || failed !== bad.length) {
    report.problems.push(
      `${batch.id}: counts ${JSON.stringify(batch.counts)} but ${sent.length} lines, ${good.length} outputs, ${bad.length} errors`,
    )
  }
  if (batch.status !== 'completed') report.problems.push(`${batch.id} ended as ${batch.status}`)
  const lines = batch.output
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line).custom_id)
  const order = new Map(sent.map((id, index) => [id, index]))
  if (lines.some((id, index) => index > 0 && order.get(lines[index - 1]) > order.get(id)))
    report.problems.push(`${batch.id}: the output is not in line order`)

  const byRequest = new Map(charges.map((row) => [row.request_id, row]))
  for (const line of good) {
    const charge = byRequest.get(line.id)
    byRequest.delete(line.id)
    if (line.response?.status_code !== 200)
      report.problems.push(`${batch.id}: ${line.custom_id} is in the output with status ${line.response?.status_code}`)
    if (!charge) {
      report.problems.push(`${batch.id}: ${line.custom_id} was answered and not charged`)
      continue
    }
    const cost = costOf(line.response.body.usage, charge, prices)
    if (BigInt(charge.amount_nano) !== cost)
      fault(
        report,
        'overcharged',
        `${batch.id}: ${line.custom_id} was charged ${charge.amount_nano}, its usage costs ${cost}`,
      )
  }
  for (const [id, charge] of byRequest)
    if (BigInt(charge.amount_nano) > 0n)
      fault(report, 'overcharged', `${batch.id}: ${id} was charged without an answer in the output`)
}

/** The price of a usage object in nano-units: per kind of token, rounded half up once, in whole numbers. */
function costOf(usage, charge, prices) {
  const cached = usage.prompt_tokens_details?.cached_tokens ?? 0
  const reasoning = usage.completion_tokens_details?.reasoning_tokens ?? 0
  const parts = [
    ['input', usage.prompt_tokens - cached, ['input']],
    ['cached_input', cached, ['cached_input', 'input']],
    ['output', (usage.completion_tokens ?? 0) - reasoning, ['output']],
    ['reasoning', reasoning, ['reasoning', 'output']],
  ]
  return parts.reduce(
    (sum, [, tokens, types]) => sum + (BigInt(tokens) * priceOf(types, charge, prices) + 500_000n) / 1_000_000n,
    0n,
  )
}

function priceOf(types, charge, prices) {
  const at = charge.occurred_at.getTime()
  for (const type of types) {
    const candidates = prices
      .filter(
        (price) =>
          price.usage_type === type &&
          (price.tenant_id === null || price.tenant_id === charge.tenant_id) &&
          (price.model === '*' || price.model === charge.model) &&
          (price.lane === null || price.lane === charge.lane),
      )
      .filter(
        (price) =>
          price.effective_from.getTime() <= at && (price.effective_to === null || at < price.effective_to.getTime()),
      )
      .sort((a, b) => specificity(b) - specificity(a))
    if (candidates[0]) return BigInt(candidates[0].nano_per_million)
  }
  return 0n
}

const specificity = (price) =>
  (price.tenant_id === null ? 0 : 4) + (price.model === '*' ? 0 : 2) + (price.lane === null ? 0 : 1)

function parse(text) {
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
}

function fault(report, kind, message) {
  report[kind] += 1
  report.problems.push(message)
}
