import { expect, it } from 'vitest'
import { outputLine } from './output-line.ts'

it('keeps an output line one line without touching what its strings hold', () => {
  const body = '{\r\n  "text": "a\\nb \u2028",\n  "big": 12345678901234567890\n}'
  const line = outputLine({ id: 'batch_req_1_1', customId: 'a "b"\n', status: 200, body: Buffer.from(body) }).toString()
  expect(line.indexOf('\n')).toBe(line.length - 1)
  expect(line).not.toContain('\r')
  expect(line).toContain('12345678901234567890')
  expect(JSON.parse(line)).toEqual({
    id: 'batch_req_1_1',
    custom_id: 'a "b"\n',
    response: { status_code: 200, request_id: 'batch_req_1_1', body: JSON.parse(body) },
    error: null,
  })
})
