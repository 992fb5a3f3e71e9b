import type { Message } from 'rhea'
import rhea from 'rhea'
import type { BrokerQueue } from './queue.ts'
import { wireForm } from './wire-form.ts'

/** Error conditions of Service Bus's own. */
export const errorConditions = {
  lockLost: 'com.microsoft:message-lock-lost',
  busy: 'com.microsoft:server-busy',
} as const

const lockLost = {
  application_properties: {
    statusCode: 410,
    errorCondition: errorConditions.lockLost,
    statusDescription: 'The lock supplied is invalid.',
  },
  body: undefined,
}
const none = { application_properties: { statusCode: 204 }, body: undefined }

/** Answers a request to a queue's `$management`. */
export function answerManagement(queue: BrokerQueue, request: Message): Message {
  const { body = {} } = request
  const ok = (answer: object = {}) => ({ application_properties: { statusCode: 200 }, body: answer })
  const tokens: string[] = [body['lock-tokens'] ?? []].flat().map((bytes: Buffer) => bytes.toString('hex'))
  switch (String(request.application_properties?.['operation']).replace('com.microsoft:', '')) {
    case 'renew-lock': {
      const ends = tokens.map((token) => queue.renew(token))
      const expirations = ends.flatMap((end) => (end === undefined ? [] : [new Date(end)]))
      return expirations.length === ends.length ? ok({ expirations }) : lockLost
    }
    case 'update-disposition': {
      const settle = {
        completed: (token: string) => queue.complete(token),
        abandoned: (token: string) => queue.abandon(token),
        suspended: (token: string) =>
          queue.deadLetter(token, {
            DeadLetterReason: String(body['deadletter-reason'] ?? ''),
            DeadLetterErrorDescription: String(body['deadletter-description'] ?? ''),
          }),
      }[String(body['disposition-status'])]
      return settle && tokens.every(settle) ? ok() : lockLost
    }
    case 'peek-message': {
      const found = queue.peek(Number(body['from-sequence-number']), Number(body['message-count']))
      if (found.length === 0) return none
      return ok({
        messages: found.map((entry) => {
          const message = wireForm(entry)
          const state = rhea.types.wrap_int(queue.isScheduled(entry) ? 2 : 0)
          const annotations = { ...message.message_annotations, 'x-opt-message-state': state }
          return { message: rhea.message.encode({ ...message, message_annotations: annotations }) }
        }),
      })
    }
    case 'cancel-scheduled-message': {
      for (const sequence of [body['sequence-numbers'] ?? []].flat()) queue.cancelScheduled(Number(sequence))
      return ok()
    }
    default:
      return {
        application_properties: { statusCode: 501, statusDescription: 'not supported by this emulator' },
        body: undefined,
      }
  }
}
