import { type Facts, readFacts } from './facts.ts'

/** What tells two texts apart that lie close together. */
export type Guard =
  | 'language'
  | 'numbers'
  | 'units'
  | 'names'
  | 'literals'
  | 'negation'
  | 'opposites'
  | 'question'
  | 'order'
  | 'words'

/**
 * Undefined when nothing known tells the two questions apart, else the guard that does. Errs towards telling apart: a
 * paraphrase that it refuses costs a computation, one that it wrongly lets pass costs a wrong answer. Its lists are of
 * English; texts of other languages pass only when their words are the same.
 */
export function tellApart(a: string, b: string): Guard | undefined {
  const [left, right] = [readFacts(a), readFacts(b)]
  if (left.language !== right.language) return 'language'
  if (left.language !== 'en') return sameWords(a, b) ? undefined : 'language'
  if (!same(left.numbers, right.numbers)) return 'numbers'
  if (!same(left.units, right.units) || !same(left.calendar, right.calendar)) return 'units'
  if (!same(left.literals, right.literals)) return 'literals'
  if (!same(left.negations, right.negations)) return 'negation'
  if (!same(left.turners, right.turners)) return 'opposites'
  if (!same(left.askers, right.askers)) return 'question'
  if (!named(left, right) || !named(right, left)) return 'names'
  return contentApart(left.content, right.content)
}

/** True when each of the names of one is a word of the other; writing it small is no other name. */
function named(one: Facts, other: Facts): boolean {
  return one.names.every((name) => other.words.has(name))
}

function contentApart(left: readonly string[], right: readonly string[]): Guard | undefined {
  const [inLeft, inRight] = [new Set(left), new Set(right)]
  const onlyLeft = left.filter((word) => !inRight.has(word))
  const onlyRight = right.filter((word) => !inLeft.has(word))
  // A word in the place of another may be another thing: france, germany.
  if (onlyLeft.length > 0 && onlyRight.length > 0) return 'words'
  // One that only adds may narrow; more than one, or more than a quarter of what is said, is another question.
  const added = onlyLeft.length + onlyRight.length
  if (added > 1 || added * 4 > Math.max(left.length, right.length)) return 'words'
  const shared = (words: readonly string[], other: ReadonlySet<string>) => words.filter((word) => other.has(word))
  return same(shared(left, inRight), shared(right, inLeft)) ? undefined : 'order'
}

function same(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((each, i) => each === right[i])
}

function sameWords(a: string, b: string): boolean {
  return normalText(a) === normalText(b)
}

/** A text without what does not change it: case, spaces and punctuation at the ends of words. */
export function normalText(text: string): string {
  return text
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[^\p{L}\p{M}\p{N}%$€£¥°@#+\-/._]+/gu, ' ')
    .replace(/[.\-/_]+(?=\s|$)/g, '')
    .trim()
}
