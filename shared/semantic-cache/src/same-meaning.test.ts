import { describe, expect, it } from 'vitest'
import { readFacts } from './facts.ts'
import { normalText, tellApart } from './same-meaning.ts'
import { paraphrases, traps } from './traps.ts'

describe('guards', () => {
  it.each(traps)('tell apart: %s | %s', (a, b) => {
    expect(tellApart(a, b)).toBeDefined()
    expect(tellApart(b, a)).toBeDefined()
  })

  it.each(paraphrases)('let pass: %s | %s', (a, b) => {
    expect([tellApart(a, b), tellApart(b, a)]).toEqual([undefined, undefined])
  })

  it('say which of them it was', () => {
    const guard = (a: string, b: string) => tellApart(`How is ${a} done?`, `How is ${b} done?`)
    expect(guard('order 48213', 'order 48231')).toBe('numbers')
    expect(guard('5 km', '5 miles')).toBe('units')
    expect(guard('it', 'it not')).toBe('negation')
    expect(guard('enabling', 'disabling')).toBe('opposites')
    expect(guard('Anna', 'Bertha')).toBe('names')
    expect(guard('a_b', 'a_c')).toBe('literals')
    expect(guard('washing', 'ironing')).toBe('words')
  })
})

describe('facts', () => {
  it('are numbers in figures and in words alike', () => {
    const numbers = (text: string) => readFacts(text).numbers
    expect(numbers('1,234.50 and three hundred and five, twenty one; two million')).toEqual([
      '1234.5',
      '305',
      '21',
      '2000000',
    ])
    expect(numbers('on 2024-05-03 at 7, -4')).toEqual(['2024-05-03', '7', '-4'])
    expect(readFacts('at 10:30').literals).toEqual(['10:30'])
  })

  it('are identifiers and quotations as they stand', () => {
    expect(readFacts('Run `npm ci` in src/app.ts with "A b" and iPhone15 or fooBar').literals.sort()).toEqual(
      ['A b', 'fooBar', 'iPhone15', 'npm ci', 'src/app.ts'].sort(),
    )
  })

  it('are read of a long text without ends in time that grows with it alone', () => {
    expect(readFacts('a.b_c-d/e '.repeat(5_000)).literals.length).toBeGreaterThan(1_000)
  })
})

it('a text is the same whatever its case, spaces and punctuation', () => {
  expect(normalText('  Hello,  WORLD!\n')).toBe(normalText('hello world.'))
  expect(normalText('a-b')).not.toBe(normalText('ab'))
})
