import { PassThrough } from 'node:stream'
import { ManualClock } from '@forebay/kernel'
import { expect, it } from 'vitest'
import { readLiveBody } from './live-body.ts'
import { cutSseEvents, isUsageChunk } from './sse-events.ts'
import { SseWriter } from './sse-writer.ts'

it('cuts the same events whatever the pieces, with either line end', () => {
  const events = ['data: {"a":1}\n\n', ': comment\r\n\r\n', 'event: x\ndata: é\n\n']
  const text = `${events.join('')}data: open`
  for (let size = 1; size <= text.length; size++) {
    const cut = cutSseEvents()
    const seen: string[] = []
    for (let at = 0; at < text.length; at += size) seen.push(...cut.push(text.slice(at, at + size)))
    expect(seen).toEqual(events)
    expect(cut.rest()).toBe('data: open')
  }
})

it('knows a usage chunk by its empty choices', () => {
  expect(isUsageChunk('data: {"choices":[],"usage":{"prompt_tokens":1}}\n\n')).toBe(true)
  expect(isUsageChunk('data: {"choices":[{"delta":{"content":"\\"usage\\""}}],"usage":null}\n\n')).toBe(false)
  expect(isUsageChunk('data: {"choices":[{}],"usage":{"prompt_tokens":1}}\n\n')).toBe(false)
  expect(isUsageChunk('data: [DONE] "usage"\n\n')).toBe(false)
})

it('asks for the usage without touching any other byte, and keeps other stream options', () => {
  const read = (text: string) => readLiveBody('/v1/chat/completions', Buffer.from(text))
  const plain = '{"model":"m","messages":[],"seed":12345678901234567890,"stream":true}\n'
  expect(read(plain)).toMatchObject({
    hideUsage: true,
    text: '{"model":"m","messages":[],"seed":12345678901234567890,"stream":true,"stream_options":{"include_usage":true}}\n',
  })
  const given = read('{"model":"m","messages":[],"stream":true,"stream_options":{"x":1,"include_usage":false}}')
  expect(JSON.parse(given.text).stream_options).toEqual({ x: 1, include_usage: true })
  expect(
    JSON.parse(read('{"model":"m","messages":[],"stream":true,"stream_options":null}').text).stream_options,
  ).toEqual({
    include_usage: true,
  })
  const asked = '{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true}}'
  expect(read(asked)).toMatchObject({ hideUsage: false, text: asked })
})

it('sends a comment after each 15 s of silence, and none after the end', async () => {
  const clock = new ManualClock()
  const sink = new PassThrough({ encoding: 'utf8' })
  const response = Object.assign(sink, { writeHead: () => {}, flushHeaders: () => {} })
  const writer = new SseWriter({
    response: response as unknown as ConstructorParameters<typeof SseWriter>[0]['response'],
    clock,
    onOpen: () => ({}),
  })
  await clock.advance(10_000)
  await writer.write('data: a\n\n')
  await clock.advance(14_999)
  expect(sink.read()).toBe('data: a\n\n')
  await clock.advance(1)
  expect(sink.read()).toBe(': keep-alive\n\n')
  await clock.advance(15_000)
  expect(sink.read()).toBe(': keep-alive\n\n')
  writer.end()
  await clock.advance(60_000)
  expect(sink.read()).toBeNull()
})
