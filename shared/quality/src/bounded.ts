import { type Context, createContext, Script } from 'node:vm'
import { ForebayError } from '@forebay/kernel'
import { field } from './answer-texts.ts'

const call = new Script('work()')
let context: Context | undefined

/**
 * Runs synchronous work and cuts it off after `timeoutMs`: throws `timeout` then. For work whose length somebody else
 * decides, so that it holds up nobody for longer. Costs a quarter of a millisecond. Not to be nested.
 */
export function runBounded<T>(timeoutMs: number, work: () => T): T {
  let result: { value: T } | undefined
  context ??= createContext({})
  context['work'] = () => {
    result = { value: work() }
  }
  try {
    call.runInContext(context, { timeout: timeoutMs })
  } catch (err) {
    // It may be an Error of the other context, which is no Error here.
    if (field(err, 'code') !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw err
    throw new ForebayError('timeout', `It took longer than ${timeoutMs} ms.`, { cause: err })
  } finally {
    context['work'] = undefined
  }
  if (!result) throw new Error('the work ended without a result')
  return result.value
}
