import {
  askers,
  calendar,
  fillers,
  languageWords,
  multipliers,
  negations,
  numberWords,
  turners,
  units,
} from './words.ts'

/** What a text says that similarity of vectors does not tell apart. Lists are in the text's order. */
export interface Facts {
  /** `en`, another language's code, or the script it is written in. */
  language: string
  numbers: string[]
  units: string[]
  /** Months and weekdays. */
  calendar: string[]
  /** Capitalised words but for common ones, lower-cased. */
  names: string[]
  /** Quoted strings and identifiers of code, paths and addresses, as they stand. */
  literals: string[]
  negations: string[]
  turners: string[]
  askers: string[]
  /** Every other word that carries meaning, by its stem. */
  content: string[]
  /** Every word, lower-cased. */
  words: ReadonlySet<string>
}

const quoted = /"([^"]+)"|“([^”]+)”|`([^`]+)`|(?<![\p{L}\p{N}])'([^']+)'(?![\p{L}\p{N}])/gu
// Signs of code: an underscore, a dot, slash or colon within, camelCase, letters and digits together.
const literal =
  /(?:[\p{L}\p{N}@~.]*[\p{L}\p{N}][_/\\:@#]+[\p{L}\p{N}][^\s,;!?()"']*|[\p{L}_]\w*\.\w[\w.]*\w|\b[a-z]+[A-Z]\w*|(?<=^|\s)--?[a-z][\w-]+|\b(?=\w*\d)(?=\w*[A-Za-z])(?!\d+(?:st|nd|rd|th|k|m|b|km|kg|cm|mm|mg|g|lb|oz|ml|l|ms|s|h|min|gb|mb|kb|tb|hz|kw|v|w|mph|kph)\b)\w+\b)/gu
const number = /(?<![\p{L}\d])[-−]?\d+(?:[.,:/-]\d+)*/gu
const word = /[\p{L}\p{M}]+(?:['’][\p{L}]+)*|[%$€£¥,;.!?]|°[cCfF]/gu

const turnerStems: ReadonlySet<string> = new Set([...turners].map(stem))

/** Reads the facts of a text. Pure. */
export function readFacts(text: string): Facts {
  const literals: string[] = []
  const set = (found: string) => {
    literals.push(found.replace(/[.,;:!?]+$/, ''))
    return ' '
  }
  const plain = text
    .normalize('NFKC')
    .replace(quoted, (whole: string) => set(whole.slice(1, -1).trim()))
    .replace(literal, set)
  const facts: Facts = {
    ...{ language: languageOf(text), numbers: [], units: [], calendar: [], names: [], literals },
    ...{ negations: [], turners: [], askers: [], content: [], words: new Set() },
  }
  const words = new Set<string>()
  let written: number | undefined
  let inFigures = false
  const endNumber = () => {
    if (written !== undefined) facts.numbers.push(String(written))
    written = undefined
    inFigures = false
  }
  for (const { text: token, number: isNumber } of tokensOf(plain)) {
    if (isNumber) {
      endNumber()
      const value = Number(token)
      inFigures = Number.isFinite(value) && /^-?\d+(\.\d+)?$/.test(token)
      if (inFigures) written = value
      else facts.numbers.push(token)
      continue
    }
    const lower = token.toLowerCase().replace(/’/g, "'")
    const base = lower.replace(/'s$/, '')
    words.add(base)
    const factor = multipliers.get(lower)
    const value = numberWords.get(lower)
    if (factor !== undefined && written !== undefined) written *= factor
    else if (value !== undefined && (lower !== 'one' || (written !== undefined && !inFigures))) {
      if (inFigures) endNumber()
      written = addWritten(written, value, endNumber)
    } else if (lower === 'and' && written !== undefined) continue
    else if (/^[,;.!?]$/.test(lower)) endNumber()
    else {
      endNumber()
      addWord(facts, token, base)
    }
  }
  endNumber()
  return { ...facts, words }
}

function addWritten(written: number | undefined, value: number, end: () => void): number {
  if (written === undefined) return value
  // Twenty-five, three hundred and five; but "two three" are two numbers.
  const joins = (written >= 20 && written < 100 && written % 10 === 0 && value < 10) || (written >= 100 && value < 100)
  if (joins) return written + value
  end()
  return value
}

function addWord(facts: Facts, token: string, base: string): void {
  if (negations.has(base) || /n't$/.test(base))
    facts.negations.push(/n't$/.test(base) || base === 'cannot' ? 'not' : base)
  else if (turnerStems.has(stem(base))) facts.turners.push(stem(base))
  else if (askers.has(base)) facts.askers.push(base)
  else if (units.has(base)) facts.units.push(units.get(base) ?? base)
  else if (calendar.has(base) && (!/^(may|mar|march|sun|sat|wed)$/.test(base) || isCapital(token)))
    facts.calendar.push(calendar.get(base) ?? base)
  else if (fillers.has(base)) return
  else {
    if (isCapital(token)) facts.names.push(base)
    facts.content.push(stem(base))
  }
}

function tokensOf(text: string): { text: string; number: boolean }[] {
  const found: { text: string; number: boolean; at: number }[] = []
  const rest = text.replace(number, (match: string, at: number) => {
    found.push({ text: match.replace('−', '-').replace(/(?<=\d),(?=\d{3}(?!\d))/g, ''), number: true, at })
    return ' '.repeat(match.length)
  })
  for (const match of rest.matchAll(word)) found.push({ text: match[0], number: false, at: match.index })
  return found.sort((a, b) => a.at - b.at)
}

function isCapital(token: string): boolean {
  return /^\p{Lu}/u.test(token)
}

/** A word without its ending: enough for forms of one word to meet, not to understand it. */
function stem(base: string): string {
  if (base.length <= 3) return base
  const cut = base.replace(/(?:ies|ied)$/, 'y').replace(/(?<=[^s])s$/, '')
  if (cut.length <= 4) return cut
  const root = cut.replace(/(?:ing|ed|es)$/, '').replace(/([^aeiouls])\1$/, '$1')
  return root.length < 3 ? cut : root.replace(/e$/, '')
}

const scripts: readonly (readonly [string, RegExp])[] = [
  ['latin', /\p{Script=Latin}/gu],
  ['cyrillic', /\p{Script=Cyrillic}/gu],
  ['greek', /\p{Script=Greek}/gu],
  ['arabic', /\p{Script=Arabic}/gu],
  ['hebrew', /\p{Script=Hebrew}/gu],
  ['devanagari', /\p{Script=Devanagari}/gu],
  ['thai', /\p{Script=Thai}/gu],
  ['kana', /[\p{Script=Hiragana}\p{Script=Katakana}]/gu],
  ['hangul', /\p{Script=Hangul}/gu],
  ['han', /\p{Script=Han}/gu],
]

function languageOf(text: string): string {
  const counts = scripts.map(([name, letters]) => [name, text.match(letters)?.length ?? 0] as const)
  const [script] = counts.reduce((most, each) => (each[1] > most[1] ? each : most), ['latin', 0] as const)
  if (script !== 'latin') return script
  const tokens = text.toLowerCase().match(/\p{L}+/gu) ?? []
  const votes = Object.entries(languageWords).map(
    ([language, known]) => [language, tokens.filter((token) => known.has(token)).length] as const,
  )
  // English comes first and keeps a tie only without letters that it does not have.
  const [language, most] = votes.reduce((best, each) => (each[1] > best[1] ? each : best), ['en', 0] as const)
  const english = votes[0]?.[1] ?? 0
  return most > english || /[äöüßéèêàçñãõœæøåłşığ¿¡]/i.test(text) ? (language === 'en' ? 'latin' : language) : 'en'
}
