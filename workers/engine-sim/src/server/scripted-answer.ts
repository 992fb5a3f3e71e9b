const magic = /\[\[sim:answers=(\[.*?\])\]\]/s

/**
 * The answer that `[[sim:answers=["…", "…"]]]` in a prompt asks for: the one at the request's `seed` (the first without a
 * seed, the last beyond them). Undefined when the prompt asks for none.
 */
export function scriptedAnswer(prompt: string, seed: number | null | undefined): string | undefined {
  const match = prompt.includes('[[sim:answers=') ? magic.exec(prompt) : null
  if (!match) return undefined
  let answers: unknown
  try {
    answers = JSON.parse(match[1] ?? '')
  } catch {
    return undefined
  }
  if (!Array.isArray(answers)) return undefined
  const chosen: unknown = answers[Math.min(seed ?? 0, answers.length - 1)]
  return typeof chosen === 'string' ? chosen : undefined
}
