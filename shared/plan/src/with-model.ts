import { findMembers } from './json-members.ts'

/** A request's body with another model's name, every other byte as it was; as it came when it names no model or is no object. */
export function withModel(body: Buffer, model: string): Buffer {
  const at = findMembers(body, ['model'])?.model
  if (!at) return body
  return Buffer.concat([body.subarray(0, at.start), Buffer.from(JSON.stringify(model)), body.subarray(at.end)])
}
