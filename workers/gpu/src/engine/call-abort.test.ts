import { describe, expect, it } from 'vitest'
import { CallAbort, type CallSignal } from './call-abort.ts'

const makers: Record<string, () => { signal: CallSignal; abort: (reason: unknown) => void }> = {
  AbortController: () => {
    const controller = new AbortController()
    return { signal: controller.signal, abort: (reason) => controller.abort(reason) }
  },
  CallAbort: () => {
    const abort = new CallAbort()
    return { signal: abort, abort: (reason) => abort.abort(reason) }
  },
}

describe.each(Object.entries(makers))('%s', (_name, make) => {
  it('tells those who listen once, in their order, and has its first reason then', () => {
    const { abort, signal } = make()
    const heard: unknown[] = []
    signal.addEventListener('abort', () => heard.push(['first', signal.aborted, signal.reason]), { once: true })
    signal.addEventListener('abort', () => heard.push(['second', signal.aborted, signal.reason]), { once: true })
    expect(signal.aborted).toBe(false)
    expect(() => signal.throwIfAborted()).not.toThrow()
    abort('why')
    abort('again')
    expect(heard).toEqual([
      ['first', true, 'why'],
      ['second', true, 'why'],
    ])
    expect(() => signal.throwIfAborted()).toThrow('why')
  })

  it('tells none who stopped listening, or began after it', () => {
    const { abort, signal } = make()
    const heard: string[] = []
    const gone = () => heard.push('gone')
    signal.addEventListener('abort', gone, { once: true })
    signal.removeEventListener('abort', gone)
    signal.removeEventListener('abort', gone)
    abort('why')
    signal.addEventListener('abort', () => heard.push('late'), { once: true })
    expect(heard).toEqual([])
  })

  it('lets a listener stop another that has not heard yet', () => {
    const { abort, signal } = make()
    const heard: string[] = []
    const second = () => heard.push('second')
    const first = () => {
      heard.push('first')
      signal.removeEventListener('abort', second)
    }
    for (const listener of [first, second, () => heard.push('third')]) {
      signal.addEventListener('abort', listener, { once: true })
    }
    abort('why')
    expect(heard).toEqual(['first', 'third'])
  })
})
