/**
 * The texts of a whole answer, one for each choice: the content of chat messages, the text of completions, the output
 * text of responses. Empty when it has none, as embeddings and calls of tools.
 */
export function answerTexts(answer: unknown): string[] {
  const choices = field(answer, 'choices')
  if (Array.isArray(choices)) return choices.flatMap(choiceText)
  const output = field(answer, 'output')
  if (!Array.isArray(output)) return []
  const texts = output.flatMap((item) => {
    const content = field(item, 'content')
    return Array.isArray(content) ? content.flatMap((part) => stringOr(field(part, 'text'))) : []
  })
  return texts.length === 0 ? [] : [texts.join('')]
}

function choiceText(choice: unknown): string[] {
  const message = field(choice, 'message')
  return stringOr(message === undefined ? field(choice, 'text') : field(message, 'content'))
}

function stringOr(value: unknown): string[] {
  return typeof value === 'string' ? [value] : []
}

/** A member of an object, undefined of anything else. */
export function field(value: unknown, name: string): unknown {
  return value !== null && typeof value === 'object' && Object.hasOwn(value, name)
    ? (value as Record<string, unknown>)[name]
    : undefined
}
