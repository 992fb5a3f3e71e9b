import type { InferenceEndpoint } from '@forebay/contracts'
import { withModel } from '@forebay/plan'
import { type AliasRule, resolveAlias } from '@forebay/router'
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
}): { body: LiveBody; alias: string | undefined } {
  const { bytes, endpoint, requestId, rules, tenantId } = options
  const body = readLiveBody(endpoint, bytes)
  if (rules.length === 0) return { body, alias: undefined }
  const { estTokens, model } = body
  const resolved = resolveAlias(rules, { model, tenantId, endpoint, estTokens, splitKey: requestId })
  if (resolved.why === undefined || resolved.model === model) return { body, alias: resolved.why }
  return { body: readLiveBody(endpoint, withModel(bytes, resolved.model)), alias: resolved.why }
}
