/** How hard a request looks, from 0 (easy) to 1, and what of it weighs most, in words. */
export interface Complexity {
  readonly score: number
  readonly because: string
}

// Each feature adds up to its weight; the weights come to more than 1, for a request need not have all of them.
const weights = {
  prompt: 0.35,
  code: 0.25,
  maths: 0.25,
  reasoning: 0.2,
  turns: 0.15,
  tools: 0.3,
  schema: 0.15,
  output: 0.25,
}
const full = { promptTokens: 4_000, turns: 12, tools: 4, outputTokens: 4_000 }

const codeMarks = /```|\b(?:function|class|def|import|SELECT|const|return)\b[^.!?\n]*[({;:]|=>|#include/
const mathsMarks =
  /\\(?:frac|int|sum|sqrt|begin)\b|[∑∫√≤≥]|\b(?:prove|theorem|derivative|integral|equation|probability)\b|\d\s*[\^*/]\s*\d/i
const reasoningMarks = /\b(?:step by step|explain why|compare|analy[sz]e|trade-?offs?|plan|design|refactor|debug)\b/i

/**
 * How hard a request looks by what it holds alone: its length, marks of code, maths and reasoning, turns, tools, a schema,
 * the output it asks for. Pure; takes any body.
 */
export function complexityOf(body: object, promptTokens: number): Complexity {
  const fields = new Map<string, unknown>(Object.entries(body))
  const messages = fields.get('messages')
  const turns = Array.isArray(messages) ? messages.length : 1
  const text = textOf(messages ?? fields.get('prompt') ?? fields.get('input'))
  const tools = fields.get('tools')
  const format = fields.get('response_format')
  const asked = fields.get('max_completion_tokens') ?? fields.get('max_tokens')
  const share = (value: number, most: number) => Math.min(1, Math.max(0, value) / most)
  const parts: Record<keyof typeof weights, number> = {
    prompt: share(promptTokens, full.promptTokens),
    code: codeMarks.test(text) ? 1 : 0,
    maths: mathsMarks.test(text) ? 1 : 0,
    reasoning: reasoningMarks.test(text) ? 1 : 0,
    turns: share(turns - 1, full.turns),
    tools: Array.isArray(tools) ? share(tools.length, full.tools) : 0,
    schema: JSON.stringify(format ?? null).includes('json_schema') ? 1 : 0,
    output: typeof asked === 'number' ? share(asked, full.outputTokens) : 0,
  }
  const added = Object.entries(parts).map(([name, part]) => ({
    name,
    adds: part * weights[name as keyof typeof weights],
  }))
  const score = Math.min(
    1,
    added.reduce((sum, { adds }) => sum + adds, 0),
  )
  const most = added.filter(({ adds }) => adds >= 0.05).sort((a, b) => b.adds - a.adds)
  const because = most
    .slice(0, 2)
    .map(({ name, adds }) => `${name} ${adds.toFixed(2)}`)
    .join(', ')
  return { score, because: because || 'nothing of weight' }
}

// What is looked at: marks of a kind come early, and a long prompt weighs by its length.
const textMax = 20_000

function textOf(value: unknown): string {
  if (typeof value === 'string') return value.slice(0, textMax)
  if (Array.isArray(value)) {
    let text = ''
    for (const item of value) {
      text += `${textOf(item)}\n`
      if (text.length >= textMax) break
    }
    return text.slice(0, textMax)
  }
  if (value === null || typeof value !== 'object') return ''
  if ('text' in value) return textOf(value.text)
  return 'content' in value ? textOf(value.content) : ''
}
