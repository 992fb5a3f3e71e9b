import type { InferenceEndpoint } from '@forebay/contracts'
import { withModel } from '@forebay/plan'
import { type AliasRule, type Resolved, resolveAlias } from '@forebay/router'
import { estimatePromptTokens } from '@forebay/tokens'
import { type LiveBody, readLiveBody } from './live-body.ts'

/**
 * The body with the model that its alias stands for, and why; as it came, to the byte, where the rules change nothing.
 * Of a body that is changed only the bytes of the model's name are. Throws as `readLiveBody` does.
 */
export function readAliasedBody(options: {
  rules: readonly AliasRule[]
  endpoint: InferenceEndpoint
  bytes: Buffer
  tenantId: string
  requestId: string
  /** Why the small model of a rule is not to be used for now. */
  distrust?: ((rule: AliasRule) => string | undefined) | undefined
}): AliasedBody {
  const { bytes, distrust, endpoint, requestId, rules, tenantId } = options
  const body = readLiveBody(endpoint, bytes)
  if (rules.length === 0) return { body, alias: undefined, chosen: undefined }
  const { estTokens, model } = body
  const resolved = resolveAlias(rules, {
    ...{ model, tenantId, endpoint, estTokens, splitKey: requestId, body: body.fields, distrust },
    promptTokens: estimatePromptTokens(bytes.byteLength),
  })
  const { chosen } = resolved
  if (resolved.why === undefined || resolved.model === model) return { body, alias: resolved.why, chosen }
  return { body: readLiveBody(endpoint, withModel(bytes, resolved.model)), alias: resolved.why, chosen }
}

/** A body as its model gets it, and why that one. */
export interface AliasedBody {
  body: LiveBody
  /** One sentence; undefined: the model is the one asked for. */
  alias: string | undefined
  /** Set when a complexity rule decided. */
  chosen: Resolved['chosen']
}
