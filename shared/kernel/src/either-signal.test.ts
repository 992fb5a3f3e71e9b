import { getEventListeners } from 'node:events'
import { describe, expect, it } from 'vitest'
import { eitherSignal } from './either-signal.ts'

describe('eitherSignal', () => {
  it('aborts with the first and its reason', () => {
    const [one, other] = [new AbortController(), new AbortController()]
    const { signal } = eitherSignal(one.signal, other.signal)
    expect(signal.aborted).toBe(false)
    other.abort('why')
    one.abort('later')
    expect(signal.reason).toBe('why')
  })

  it('is aborted from the start when one of them is', () => {
    const aborted = AbortSignal.abort('before')
    expect(eitherSignal(new AbortController().signal, aborted).signal.reason).toBe('before')
  })

  it('leaves nothing in those it followed', () => {
    const [one, other] = [new AbortController(), new AbortController()]
    for (let i = 0; i < 5; i++) eitherSignal(one.signal, other.signal).release()
    expect([one, other].map(({ signal }) => getEventListeners(signal, 'abort').length)).toEqual([0, 0])
  })
})
