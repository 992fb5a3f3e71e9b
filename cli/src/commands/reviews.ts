import { type Command, InvalidArgumentError, Option } from 'commander'
import { type Cli, examples, onRun, wholeNumber } from '../command.ts'
import { exitCodes } from '../failure.ts'
import { fields, table, time } from '../text.ts'

interface Review {
  id: string
  status: string
  reasons: string[]
  scores: Record<string, number>
  judge_model: string
  batch_id: string
  line: number | null
  custom_id: string | null
  model: string
  note: string | null
  decided_at: number | null
  created_at: number
  request?: unknown
  answer?: unknown
}

interface TenantQuality {
  tenant: string
  judge_model: string | null
  judge_share: number
}

/** `forebay reviews …` */
export function addReviewsCommands(program: Command, cli: Cli): void {
  const reviews = examples(
    program.command('reviews').description('answers that the judge model flagged, for a person to look at'),
    'forebay reviews list --status open',
    'forebay reviews get review_123',
    "forebay reviews reject review_123 --note 'the dose is made up'",
    'forebay reviews share acme 0.05',
  )

  const list = reviews
    .command('list')
    .description('the newest reviews')
    .addOption(new Option('--status <status>', 'those that stand so').choices(['open', 'approved', 'rejected']))
    .option('--limit <n>', 'how many', wholeNumber(1), 20)
  onRun<[], { limit: number; status?: string }>(cli, list, async ({ api, out }, _args, { limit, status }) => {
    const found = await api().list<Review>('/v1/reviews', {
      limit,
      ...(status === undefined ? {} : { query: { status } }),
    })
    out.data(found, () =>
      table(
        ['ID', 'STATUS', 'BECAUSE OF', 'BATCH', 'LINE', 'MODEL', 'CREATED'],
        found.map((one) => [
          ...[one.id, one.status, one.reasons, one.batch_id, one.line, one.model, time(one.created_at)],
        ]),
      ),
    )
    return exitCodes.ok
  })

  const get = reviews.command('get').argument('<id>').description('one review, with what was asked and answered')
  onRun<[string]>(cli, get, async ({ api, out }, [id]) => {
    const found = await api().call<Review>('GET', `/v1/reviews/${encodeURIComponent(id)}`)
    out.data(found, () => describe(found))
    return exitCodes.ok
  })

  for (const decision of ['approve', 'reject'] as const) {
    const command = reviews
      .command(decision)
      .argument('<id>')
      .description(decision === 'approve' ? 'the answer is fine' : 'the answer is not; caches of its model are flushed')
      .option('--note <text>', 'why, kept with the review')
    onRun<[string], { note?: string }>(cli, command, async ({ api, out }, [id], { note }) => {
      const body = { decision, ...(note === undefined ? {} : { note }) }
      const decided = await api().call<Review>('POST', `/v1/reviews/${encodeURIComponent(id)}`, { body })
      out.data(decided, () => describe(decided))
      return exitCodes.ok
    })
  }

  const share = examples(
    reviews
      .command('share')
      .argument('<tenant>')
      .argument('[share]', "0 to 1, or 'default'; shows it when not given", shareOf)
      .description("how much of a tenant's batch answers is judged; needs an admin key"),
    'forebay reviews share acme',
    'forebay reviews share acme 0.05',
    'forebay reviews share acme default',
  )
  onRun<[string, number | null | undefined]>(cli, share, async ({ api, out }, [tenant, wanted]) => {
    const path = `/admin/tenants/${encodeURIComponent(tenant)}/quality`
    const held =
      wanted === undefined
        ? await api().call<TenantQuality>('GET', path)
        : await api().call<TenantQuality>('POST', path, { body: { judge_share: wanted } })
    out.data(held, () =>
      table(['TENANT', 'JUDGED', 'BY'], [[held.tenant, held.judge_share, held.judge_model ?? 'nobody']]),
    )
    return exitCodes.ok
  })
}

function shareOf(value: string): number | null {
  if (value === 'default') return null
  if (/^(0(\.\d+)?|1(\.0+)?)$/.test(value)) return Number(value)
  throw new InvalidArgumentError("It must be a number from 0 to 1, or 'default'.")
}

function describe(review: Review): string {
  const json = (value: unknown) => (value === undefined ? null : value === null ? 'not kept' : JSON.stringify(value))
  return fields([
    ['id', review.id],
    ['status', review.status],
    ['because of', review.reasons.join(', ')],
    ...Object.entries(review.scores).map(([name, score]) => [name, `${score} of 5`] as const),
    ['judge', review.judge_model],
    ['batch', review.batch_id],
    ['line', review.line],
    ['custom id', review.custom_id],
    ['model', review.model],
    ['note', review.note],
    ['decided', review.decided_at === null ? null : time(review.decided_at)],
    ['request', json(review.request)],
    ['answer', json(review.answer)],
  ])
}
