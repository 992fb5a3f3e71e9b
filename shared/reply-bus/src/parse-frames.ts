import { type ReplyFrame, replyFrameSchema } from '@forebay/contracts'

/** The frames of one message. Throws for what is none of ours. */
export function parseFrames(value: unknown): ReplyFrame[] {
  if (!Array.isArray(value)) throw new Error('no list of frames')
  return value.map(parseFrame)
}

// Frames come many a second from our own workers: of those that every reply has, only what the gateway acts upon is
// looked at. A schema takes some ten times as long.
function parseFrame(value: unknown): ReplyFrame {
  if (isCommon(value)) return value
  return replyFrameSchema.parse(value)
}

function isCommon(value: unknown): value is ReplyFrame {
  const frame = value as Partial<Record<string, unknown>> | null
  if (typeof frame !== 'object' || frame === null) return false
  const { attempt, requestId, seq, type } = frame
  if (typeof requestId !== 'string' || typeof attempt !== 'number' || typeof seq !== 'number') return false
  if (type === 'data') return typeof frame['text'] === 'string'
  if (type === 'head') return typeof frame['status'] === 'number' && typeof frame['contentType'] === 'string'
  return type === 'end' && typeof frame['usage'] === 'object'
}
