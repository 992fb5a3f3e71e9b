import { EventEmitter } from 'node:events'
import type { Announcement, Control, ReplyFrame } from '@forebay/contracts'
import type { ReplyBus } from './port.ts'

/** A bus within one process, for standalone and unit tests. */
export function makeMemoryReplyBus(): ReplyBus {
  const events = new EventEmitter().setMaxListeners(0)
  const on = <T>(name: string, fn: (message: T) => void) => {
    events.on(name, fn)
    return Promise.resolve(async () => void events.off(name, fn))
  }
  const emit = async (name: string, message: unknown) => void events.emit(name, message)
  return {
    send: (inbox, frame) => emit(`inbox:${inbox}`, frame),
    receive: (inbox, onFrame) => on<ReplyFrame>(`inbox:${inbox}`, onFrame),
    control: (message) => emit('control', message),
    onControl: (onMessage) => on<Control>('control', onMessage),
    announce: (announcement) => emit('announce', announcement),
    onAnnounce: (onAnnouncement) => on<Announcement>('announce', onAnnouncement),
    trouble: () => undefined,
    stop: async () => void events.removeAllListeners(),
  }
}
