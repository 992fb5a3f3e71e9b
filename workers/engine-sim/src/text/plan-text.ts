import { makeRandom } from './random.ts'
import { sampleJson } from './sample-json.ts'
import { makeWordStream } from './words.ts'

export interface TextRequest {
  /** Decides the text: equal seeds give equal text. */
  readonly seed: number
  /** Tokens the answer may have, at least 1. */
  readonly maxTokens: number
  readonly minTokens: number
  /** Go on to `maxTokens`. */
  readonly ignoreEos: boolean
  /** Exactly this many tokens, `maxTokens` permitting. */
  readonly exactTokens?: number | undefined
  readonly stop: readonly string[]
  /** Answer with this. */
  readonly text?: string | undefined
  /** Answer with JSON that fits this schema. */
  readonly jsonSchema?: unknown
}

export interface TextPlan {
  /** The text of each token; may be empty where a stop string cut it. */
  readonly pieces: readonly string[]
  readonly reason: 'stop' | 'length'
}

/** Decides an answer before it is generated: its tokens, how many, and why it ends. */
export function planText(request: TextRequest): TextPlan {
  const random = makeRandom(request.seed)
  if (request.text !== undefined) return cutAtMax(splitPieces(request.text), request)
  if (request.jsonSchema !== undefined) {
    return cutAtMax(splitPieces(JSON.stringify(sampleJson(request.jsonSchema, random))), request)
  }
  // Right-skewed, as answers are: most near a hundred tokens, a few several hundred.
  const natural = request.exactTokens ?? Math.floor(24 + 60 * random() + 320 * random() ** 3)
  const wanted = request.ignoreEos ? request.maxTokens : Math.max(natural, request.minTokens)
  const next = makeWordStream(random)
  const pieces = Array.from({ length: Math.min(wanted, request.maxTokens) }, next)
  const plan: TextPlan = { pieces, reason: wanted > request.maxTokens || request.ignoreEos ? 'length' : 'stop' }
  return request.stop.length === 0 ? plan : cutAtStop(plan, request.stop)
}

function splitPieces(text: string): string[] {
  return text.match(/[\s\S]{1,4}/gu) ?? ['']
}

function cutAtMax(pieces: string[], { maxTokens }: TextRequest): TextPlan {
  return { pieces: pieces.slice(0, maxTokens), reason: pieces.length > maxTokens ? 'length' : 'stop' }
}

/** Ends at the token that completes the first stop string; the text ends before that string. */
function cutAtStop(plan: TextPlan, stop: readonly string[]): TextPlan {
  const text = plan.pieces.join('')
  let cut = -1
  let end = 0
  for (const mark of stop) {
    const at = text.indexOf(mark)
    if (at < 0 || (cut >= 0 && at >= cut)) continue
    cut = at
    end = at + mark.length
  }
  if (cut < 0) return plan
  const pieces: string[] = []
  for (let at = 0, i = 0; at < end; i++) {
    const piece = plan.pieces[i] ?? ''
    pieces.push(piece.slice(0, Math.max(0, cut - at)))
    at += piece.length
  }
  return { pieces, reason: 'stop' }
}
