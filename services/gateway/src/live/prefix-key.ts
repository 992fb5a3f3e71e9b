/** Shorter prompts are computed anew in less time than a wait at a busier pool costs. */
const prefixChars = 1_024

/**
 * What requests that begin alike have in common: the model and the first characters of the prompt. Undefined for a
 * prompt too short to be worth keeping with its pool. Takes any body.
 */
export function prefixKey(model: string, body: object): string | undefined {
  const fields = new Map<string, unknown>(Object.entries(body))
  const messages = fields.get('messages')
  let text = ''
  for (const message of Array.isArray(messages) ? messages : [fields.get('prompt')]) {
    text += textOf(message)
    if (text.length >= prefixChars) return `${model}\n${text.slice(0, prefixChars)}`
  }
  return undefined
}

function textOf(message: unknown): string {
  if (typeof message === 'string') return message
  if (message === null || typeof message !== 'object') return ''
  if ('text' in message && typeof message.text === 'string') return message.text
  if (!('content' in message)) return ''
  const { content } = message
  const text = Array.isArray(content) ? content.map(textOf).join('') : textOf(content)
  return 'role' in message ? `${String(message.role)}:${text}\n` : text
}
