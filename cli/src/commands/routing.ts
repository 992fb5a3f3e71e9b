import type { Command } from 'commander'
import { type Cli, examples, onRun } from '../command.ts'
import { exitCodes } from '../failure.ts'
import { fields, table } from '../text.ts'

interface Rule {
  alias: string
  to: Record<string, number>
  when: { tenants: string[] | null; endpoints: string[] | null; min_tokens: number | null; max_tokens: number | null }
  complexity: {
    threshold: number
    small: string
    large: string
    agreement_min: number
    checks: number
    agreement: number | null
    fallback: boolean
    reason: string | null
  } | null
}

interface Routing {
  weights: Record<string, number>
  home: { cloud: string | null; region: string | null }
  rules: Rule[]
}

/** `forebay routing`, for an admin key. */
export function addRoutingCommand(program: Command, cli: Cli): void {
  const command = examples(
    program
      .command('routing')
      .description('how pools and models are chosen: weights, aliases, small or large models; needs an admin key'),
    'forebay routing',
    'forebay routing --json',
  )
  onRun<[]>(cli, command, async ({ api, out }) => {
    const routing = await api().call<Routing>('GET', '/admin/routing')
    const { home, rules, weights } = routing
    out.data(routing, () =>
      [
        fields([
          [
            'weights',
            Object.entries(weights)
              .map(([part, weight]) => `${part} ${weight}`)
              .join(', '),
          ],
          ['home', [home.cloud, home.region].filter(Boolean).join(' ') || null],
        ]),
        ...(rules.length === 0
          ? []
          : ['', table(['ALIAS', 'MODELS', 'WHEN', 'AGREEMENT', 'ASKED', 'COMPARED', 'FALLBACK'], rules.map(row))]),
      ].join('\n'),
    )
    if (rules.length === 0) out.note('There are no aliases: see `routes` of the configuration file.')
    for (const { alias, complexity } of rules) {
      if (complexity?.fallback) out.warn(`${alias}: ${complexity.large} answers everything: ${complexity.reason}.`)
    }
    return exitCodes.ok
  })
}

function row({ alias, complexity, to, when }: Rule): (string | number | null)[] {
  const shares = Object.entries(to)
  const models = complexity
    ? `${complexity.small} below ${complexity.threshold}, else ${complexity.large}`
    : shares.map(([model, share]) => (shares.length > 1 ? `${model} ${share}` : model)).join(', ')
  const limits = [
    when.tenants && `tenants ${when.tenants.join(' ')}`,
    when.endpoints && `endpoints ${when.endpoints.join(' ')}`,
    when.min_tokens !== null && `from ${when.min_tokens} tokens`,
    when.max_tokens !== null && `up to ${when.max_tokens} tokens`,
  ].filter(Boolean)
  const measured = complexity
    ? [complexity.agreement?.toFixed(2) ?? null, complexity.agreement_min, complexity.checks]
    : [null, null, null]
  return [
    alias,
    models,
    limits.join(', ') || null,
    ...measured,
    complexity ? (complexity.fallback ? 'yes' : 'no') : null,
  ]
}
