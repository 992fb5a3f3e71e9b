import type { InferenceEndpoint } from '@forebay/contracts'
import { isObject, parseObject } from './answer.ts'

type Fields = Record<string, unknown>

/**
 * The whole answer that an event stream's text told piece by piece, as the engine would have given it unstreamed.
 * Undefined when the stream did not end in order, or holds something that is not known how to be joined: then the
 * answer is not cached, never guessed.
 */
export function assembleStream(endpoint: InferenceEndpoint, text: string): string | undefined {
  const events = text.split(/\r?\n\r?\n/).filter((event) => event.startsWith('data:'))
  const payloads = events.map((event) => event.slice('data:'.length).trim())
  if (payloads.pop() !== '[DONE]') return undefined
  const chat = endpoint === '/v1/chat/completions'
  const choices = new Map<number, Fields>()
  let head: Fields | undefined
  let usage: unknown = null
  for (const payload of payloads) {
    const chunk = parseObject(payload)
    if (!chunk || !Array.isArray(chunk['choices']) || isObject(chunk['error'])) return undefined
    head ??= chunk
    if (chunk['usage'] !== null && chunk['usage'] !== undefined) usage = chunk['usage']
    for (const piece of chunk['choices']) {
      if (!isObject(piece) || typeof piece['index'] !== 'number') return undefined
      const choice = choices.get(piece['index']) ?? newChoice(piece['index'], chat)
      choices.set(piece['index'], choice)
      if (!addPiece(choice, piece, chat)) return undefined
    }
  }
  if (!head || choices.size === 0 || !isObject(usage)) return undefined
  const { id, created, model, system_fingerprint: fingerprint } = head
  const whole = {
    id,
    object: chat ? 'chat.completion' : 'text_completion',
    created,
    model,
    choices: [...choices.values()].sort((a, b) => Number(a['index']) - Number(b['index'])),
    ...(fingerprint === undefined || fingerprint === null ? {} : { system_fingerprint: fingerprint }),
    usage,
  }
  return JSON.stringify(whole)
}

function newChoice(index: number, chat: boolean): Fields {
  if (!chat) return { index, text: '', logprobs: null, finish_reason: null }
  return { index, message: { role: 'assistant', content: null }, logprobs: null, finish_reason: null }
}

function addPiece(choice: Fields, piece: Fields, chat: boolean): boolean {
  for (const [name, value] of Object.entries(piece)) {
    if (name === 'index' || value === null || value === undefined) continue
    if (name === 'finish_reason' || name === 'stop_reason') choice[name] = value
    else if (name === 'text' && !chat && typeof value === 'string') choice['text'] = `${choice['text']}${value}`
    else if (name === 'delta' && chat && isObject(value)) {
      if (!addDelta(choice['message'] as Fields, value)) return false
    } else if (name === 'logprobs' && isObject(value)) {
      if (!addLists(choice, value)) return false
    } else return false
  }
  return true
}

function addDelta(message: Fields, delta: Fields): boolean {
  for (const [name, value] of Object.entries(delta)) {
    if (value === null || value === undefined) continue
    const sofar = message[name]
    if (name === 'role') message[name] = value
    else if (name === 'tool_calls' && Array.isArray(value)) {
      if (!addToolCalls(message, value)) return false
    } else if (typeof value === 'string' && (typeof sofar === 'string' || sofar === undefined || sofar === null))
      message[name] = `${sofar ?? ''}${value}`
    else if (Array.isArray(value) && value.length === 0) continue
    else return false
  }
  return true
}

function addToolCalls(message: Fields, pieces: readonly unknown[]): boolean {
  const calls: Fields[] = Array.isArray(message['tool_calls']) ? message['tool_calls'] : []
  message['tool_calls'] = calls
  for (const piece of pieces) {
    if (!isObject(piece) || typeof piece['index'] !== 'number' || piece['index'] > calls.length) return false
    const call = calls[piece['index']] ?? { id: null, type: 'function', function: { name: '', arguments: '' } }
    calls[piece['index']] = call
    const named = call['function'] as Fields
    for (const [name, value] of Object.entries(piece)) {
      if (name === 'index' || value === null) continue
      if ((name === 'id' || name === 'type') && typeof value === 'string') call[name] = value
      else if (name === 'function' && isObject(value)) {
        for (const [field, text] of Object.entries(value)) {
          if (text === null) continue
          if ((field !== 'name' && field !== 'arguments') || typeof text !== 'string') return false
          named[field] = `${named[field]}${text}`
        }
      } else return false
    }
  }
  return true
}

// Log-probabilities are lists beside the text, each piece with its own part of them.
function addLists(choice: Fields, piece: Fields): boolean {
  const lists = (choice['logprobs'] ?? {}) as Fields
  choice['logprobs'] = lists
  for (const [name, value] of Object.entries(piece)) {
    if (value === null) lists[name] ??= null
    else if (Array.isArray(value)) lists[name] = [...((lists[name] as unknown[] | null | undefined) ?? []), ...value]
    else return false
  }
  return true
}
