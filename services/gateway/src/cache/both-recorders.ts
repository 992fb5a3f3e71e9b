import type { AnswerRecorder } from './answer-recorder.ts'

/** What takes down for both; whichever there is. */
export function bothRecorders(
  one: AnswerRecorder | undefined,
  other: AnswerRecorder | undefined,
): Pick<AnswerRecorder, 'add'> | undefined {
  if (!one || !other) return one ?? other
  return {
    add: (event) => {
      one.add(event)
      other.add(event)
    },
  }
}
