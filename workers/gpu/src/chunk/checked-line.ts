import { checkFailedCode, type RequestResult } from '@forebay/contracts'
import type { Answer } from '../engine/outcome.ts'
import { spliceMembers } from '../hints/splice-members.ts'
import type { UsableCheck } from './check-book.ts'
import type { LineError } from './output-line.ts'

/** What becomes of an answer: another is asked for, or the line ends with this one. */
export type Verdict =
  | { readonly kind: 'again' }
  | { readonly kind: 'ends'; readonly answer: Answer; readonly error?: LineError | undefined }

/** A line's answers against the check of its batch, from one attempt to the next. */
export interface CheckedLine {
  /**
   * What the next attempt sends: the body as it is; once an answer did not fit, with the number of the retry as its
   * `seed` unless the client gave one, for an engine that samples by a fixed seed would only repeat itself.
   */
  bodyOf(body: Buffer): Buffer
  judge(answer: Answer): Verdict
  /** The last answer, which did not fit, for a line that cannot be run again. */
  kept(): { answer: Answer; error: LineError } | undefined
  /** What the answers before the last took. */
  readonly discarded: RequestResult['discarded']
}

/** The line's check, at its start. */
export function makeCheckedLine(check: UsableCheck): CheckedLine {
  let retries = 0
  let bad: { answer: Answer; error: LineError } | undefined
  let discarded: NonNullable<RequestResult['discarded']> | undefined
  const discard = ({ usage }: Answer) => {
    const { answers, completionTokens, promptTokens } = discarded ?? {
      answers: 0,
      promptTokens: 0,
      completionTokens: 0,
    }
    discarded = {
      answers: answers + 1,
      promptTokens: promptTokens + usage.promptTokens,
      completionTokens: completionTokens + usage.completionTokens,
    }
  }
  return {
    bodyOf: (body) => (retries === 0 ? body : spliceMembers(body, { seed: retries }).body),
    judge(answer) {
      // An engine that refuses the retry leaves the line with the answer that it has.
      if (answer.status >= 300) return bad ? { kind: 'ends', ...bad } : { kind: 'ends', answer }
      if (bad) discard(bad.answer)
      bad = undefined
      const fault = check.fitsNot(answer.parsed)
      if (fault === undefined) return { kind: 'ends', answer }
      bad = { answer, error: { code: checkFailedCode, message: fault } }
      if (retries >= check.retriesMax) return { kind: 'ends', ...bad }
      retries++
      return { kind: 'again' }
    },
    kept: () => bad,
    get discarded() {
      return discarded
    },
  }
}
