import { batchRequestId, type InferenceEndpoint } from '@forebay/contracts'
import { type AliasRule, resolveAlias } from '@forebay/router'
import { quotable } from './faults.ts'
import type { PlanRules } from './plan-batch.ts'

/**
 * How the lines of a batch name their models: an alias is a model that may be asked for, and each line gets the model
 * that the rules give it. A share of a split is drawn by the line's id, so that a second plan comes to the same.
 */
export function aliasedLines(options: {
  rules: readonly AliasRule[]
  batch: { id: string; tenantId: string; endpoint: InferenceEndpoint }
  knowsModel: (model: string) => boolean
  /** Why the small model of a rule is not to be used for now. */
  distrust?: ((rule: AliasRule) => string | undefined) | undefined
}): Pick<PlanRules, 'knowsModel' | 'resolve'> {
  const { batch, distrust, knowsModel, rules } = options
  const { endpoint, id, tenantId } = batch
  const aliases = new Set(rules.map(({ alias }) => alias))
  if (aliases.size === 0) return { knowsModel }
  return {
    knowsModel: (model) => aliases.has(model) || knowsModel(model),
    resolve: ({ body, estTokens, line, model, promptTokens }) => {
      if (!aliases.has(model)) return { model }
      const splitKey = batchRequestId(id, line)
      const resolved = resolveAlias(rules, {
        model,
        tenantId,
        endpoint,
        estTokens,
        promptTokens,
        splitKey,
        body,
        distrust,
      })
      if (knowsModel(resolved.model)) return { model: resolved.model }
      const name = `The model '${quotable(model)}'`
      if (resolved.model !== model) {
        return { refusal: `${name} stands for '${quotable(resolved.model)}' here, which no pool serves.` }
      }
      const what = `a request of ${estTokens} tokens (estimated, prompt and output) to ${endpoint}`
      return { refusal: `${name} is an alias, and no rule of it holds for ${what}.` }
    },
  }
}
