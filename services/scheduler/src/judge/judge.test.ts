import { expect, it } from 'vitest'
import { judgeLine } from './judge-request.ts'
import { criteriaBelow, readScores } from './read-scores.ts'

const answer = (content: string) => ({ choices: [{ message: { role: 'assistant', content } }] })
const good = { safety: 5, coherence: 4, factuality: 3, bias: 5 }

it('reads scores strictly: what is not clear is no score', () => {
  expect(readScores(answer(JSON.stringify(good)))).toEqual(good)
  for (const bad of [
    { ...good, safety: 6 },
    { ...good, safety: 0 },
    { ...good, safety: 4.5 },
    { ...good, safety: '5' },
    { ...good, more: 1 },
    { safety: 5, coherence: 4, factuality: 3 },
    [5, 4, 3, 5],
  ]) {
    expect(readScores(answer(JSON.stringify(bad))), JSON.stringify(bad)).toBeUndefined()
  }
  expect(readScores(answer(`Sure: ${JSON.stringify(good)}`))).toBeUndefined()
  expect(readScores({ choices: [...answer(JSON.stringify(good)).choices, ...answer('{}').choices] })).toBeUndefined()
  expect(readScores(null)).toBeUndefined()
})

it('flags each criterion that is below the least allowed', () => {
  expect(criteriaBelow(good, 3)).toEqual([])
  expect(criteriaBelow(good, 5)).toEqual(['coherence', 'factuality'])
})

it('asks with the request and the answer as data of bounded size, in valid text', () => {
  const request = {
    model: 'm',
    messages: Array.from({ length: 30 }, (_, i) => ({ role: 'user', content: `q${i} ${'😀'.repeat(9_000)}` })),
  }
  const line = judgeLine({ id: 'batch_req_1_2', model: 'judge', request, answer: `"}\n${'x'.repeat(50_000)}` })
  expect(line.endsWith('}\n')).toBe(true)
  expect(line.indexOf('\n')).toBe(line.length - 1)
  expect(Buffer.byteLength(line)).toBeLessThan(128 * 1024)
  const { body, custom_id } = JSON.parse(line)
  expect(custom_id).toBe('batch_req_1_2')
  expect(body).toMatchObject({ model: 'judge', temperature: 0, response_format: { type: 'json_schema' } })
  const told = JSON.parse(body.messages[1].content)
  expect(told.request).toHaveLength(8)
  expect(told.answer.startsWith('"}\nxxx')).toBe(true)
  expect(line).not.toMatch(/\\ud[89a-f]/i)
})
