import { type Complexity, complexityOf } from './complexity.ts'
import { shareOf } from './share-of.ts'

/** A choice between a small and a large model by how hard a request looks. */
export interface ComplexityRule {
  readonly small: string
  readonly large: string
  /** From this score on the large one answers. */
  readonly threshold: number
  /** The share of the requests that the other model answers, too, to compare. */
  readonly sampleShare: number
  /** Below this share of answers that agree the large one answers all. */
  readonly agreementMin: number
  /** Comparisons before that is judged. */
  readonly samplesMin: number
}

/** One rule: under which name clients ask, when it holds, and which models answer. */
export interface AliasRule {
  readonly alias: string
  /** Model to weight; the weights are above 0. */
  readonly to: Readonly<Record<string, number>>
  /** Decides between two models, which `to` names; undefined: the shares of `to` do. */
  readonly complexity?: ComplexityRule | undefined
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
  /** The body, for rules that look at it. */
  readonly body?: object | undefined
  /** Tokens of the prompt alone, as estimated; those of all when not given. */
  readonly promptTokens?: number | undefined
  /** Why the small model of a rule is not to be used for now; undefined when it may. */
  readonly distrust?: ((rule: AliasRule) => string | undefined) | undefined
}

/** The model that answers, and why. */
export interface Resolved {
  readonly model: string
  /** One sentence; undefined: the model is the one asked for. */
  readonly why: string | undefined
  /** Set when a complexity rule decided. */
  readonly chosen?:
    | { readonly alias: string; readonly rule: ComplexityRule; readonly complexity: Complexity }
    | undefined
}

/** The first rule for the name that holds decides; without one the name stands for itself. Pure. */
export function resolveAlias(rules: readonly AliasRule[], request: AliasedRequest): Resolved {
  const index = rules.findIndex((rule) => rule.alias === request.model && holds(rule.when, request))
  const rule = rules[index]
  if (!rule) return { model: request.model, why: undefined }
  if (rule.complexity) return byComplexity(rule, rule.complexity, { index, request })
  const targets = Object.entries(rule.to).sort(([a], [b]) => (a < b ? -1 : 1))
  const total = targets.reduce((sum, [, weight]) => sum + weight, 0)
  const [model, weight] = drawn(targets, shareOf(`${rule.alias}\n${request.splitKey}`) * total) ?? [
    request.model,
    total,
  ]
  const split = targets.length > 1 ? `, its share ${weight} of ${total}` : ''
  return { model, why: `${request.model} is ${model} by routes[${index}]${split}.` }
}

function byComplexity(
  rule: AliasRule,
  choice: ComplexityRule,
  { index, request }: { index: number; request: AliasedRequest },
): Resolved {
  const complexity = complexityOf(request.body ?? {}, request.promptTokens ?? request.estTokens)
  const { because, score } = complexity
  const easy = score < choice.threshold
  const distrust = easy ? request.distrust?.(rule) : undefined
  const model = easy && distrust === undefined ? choice.small : choice.large
  const side = easy ? 'below' : 'from'
  const text = `complexity ${score.toFixed(2)} (${because}), ${side} ${choice.threshold} on`
  const told = easy ? text.replace(/ on$/, '') : text
  const why = `${request.model} is ${model} by routes[${index}], ${told}${distrust === undefined ? '' : `; ${distrust}`}.`
  return { model, why, chosen: { alias: rule.alias, rule: choice, complexity } }
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
