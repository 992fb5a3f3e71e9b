import { shareOf } from './share-of.ts'

/** One rule: under which name clients ask, when it holds, and which models answer. */
export interface AliasRule {
  readonly alias: string
  /** Model to weight; the weights are above 0. */
  readonly to: Readonly<Record<string, number>>
  /** All that is given must hold. */
  readonly when: {
    readonly tenants?: readonly string[] | undefined
    readonly endpoints?: readonly string[] | undefined
    /** Of prompt and expected output together, as estimated. */
    readonly minTokens?: number | undefined
    /** Not more than this. */
    readonly maxTokens?: number | undefined
  }
}

/** What is known of a request before it is routed. */
export interface AliasedRequest {
  readonly model: string
  readonly tenantId: string
  readonly endpoint: string
  readonly estTokens: number
  /** What decides its place in a weighted split: the same key gets the same model. */
  readonly splitKey: string
}

/** The model that answers, and why. */
export interface Resolved {
  readonly model: string
  /** One sentence; undefined: the model is the one asked for. */
  readonly why: string | undefined
}

/** The first rule for the name that holds decides; without one the name stands for itself. Pure. */
export function resolveAlias(rules: readonly AliasRule[], request: AliasedRequest): Resolved {
  const index = rules.findIndex((rule) => rule.alias === request.model && holds(rule.when, request))
  const rule = rules[index]
  if (!rule) return { model: request.model, why: undefined }
  const targets = Object.entries(rule.to).sort(([a], [b]) => (a < b ? -1 : 1))
  const total = targets.reduce((sum, [, weight]) => sum + weight, 0)
  const [model, weight] = drawn(targets, shareOf(`${rule.alias}\n${request.splitKey}`) * total) ?? [
    request.model,
    total,
  ]
  const split = targets.length > 1 ? `, its share ${weight} of ${total}` : ''
  return { model, why: `${request.model} is ${model} by routes[${index}]${split}.` }
}

/** The target within whose weight a point from 0 up to the sum of all lies. */
function drawn(targets: readonly [string, number][], point: number): [string, number] | undefined {
  let end = 0
  for (const target of targets) {
    end += target[1]
    if (point < end) return target
  }
  return targets.at(-1)
}

function holds(when: AliasRule['when'], request: AliasedRequest): boolean {
  const { endpoints, maxTokens = Number.POSITIVE_INFINITY, minTokens = 0, tenants } = when
  if (tenants && !tenants.includes(request.tenantId)) return false
  if (endpoints && !endpoints.includes(request.endpoint)) return false
  return request.estTokens >= minTokens && request.estTokens <= maxTokens
}
