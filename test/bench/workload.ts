/** What requests of a benchmark look like. Equal workloads give equal bytes. */
export interface Workload {
  model: string
  requests: number
  /** Words of each prompt that no other has. */
  promptWords: number
  maxTokens: number
  /** The prompts begin with one of `groups` texts of `words` words, in an order that is shuffled. */
  prefixes?: { groups: number; words: number }
  /** Two runs with different seeds share no prompt, so that no cache helps the later one. */
  seed: number
}

const words = 'river turbine batch queue water steady power engine sluice model token answer summary clause'.split(' ')

/** The bodies of a workload's requests, in order. */
export function* bodiesOf(workload: Workload): Generator<string> {
  const { maxTokens, model, prefixes, promptWords, requests, seed } = workload
  const next = makeRandom(seed)
  const text = (count: number) => Array.from({ length: count }, () => words[next(words.length)]).join(' ')
  const heads = Array.from(
    { length: prefixes?.groups ?? 0 },
    (_, i) => `Form ${seed}-${i}: ${text(prefixes?.words ?? 0)}`,
  )
  for (let i = 0; i < requests; i++) {
    const content = `Paragraph ${seed}-${i}: ${text(promptWords)}`
    const head = heads[next(heads.length)]
    const messages = [...(head ? [{ role: 'system', content: head }] : []), { role: 'user', content }]
    yield JSON.stringify({ model, max_tokens: maxTokens, messages })
  }
}

/** The same requests as a batch file. */
export function batchFileOf(workload: Workload): string {
  let file = ''
  let line = 0
  for (const body of bodiesOf(workload)) {
    file += `{"custom_id":"request-${++line}","method":"POST","url":"/v1/chat/completions","body":${body}}\n`
  }
  return file
}

/** Whole numbers from 0 to below `below` (0 when that is 0), the same for the same seed. */
export function makeRandom(seed: number): (below: number) => number {
  let state = Math.imul(seed, 2_654_435_761) + 1
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}
