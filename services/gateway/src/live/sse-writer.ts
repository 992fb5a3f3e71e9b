import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { Clock } from '@forebay/kernel'

const silentMs = 15_000

/** Writes an event stream to a client at the client's pace. After 15 s of silence it sends a comment, so that no proxy on the way closes the connection. */
export class SseWriter {
  readonly #response: ServerResponse
  readonly #clock: Clock
  readonly #onOpen: () => OutgoingHttpHeaders
  #open = false
  #wroteMs: number
  #stopTimer: () => void

  constructor(options: { response: ServerResponse; clock: Clock; onOpen: () => OutgoingHttpHeaders }) {
    this.#response = options.response
    this.#clock = options.clock
    this.#onOpen = options.onOpen
    this.#wroteMs = options.clock.now()
    this.#stopTimer = options.clock.after(silentMs, () => this.#beat())
  }

  /** True once the status and headers are out. */
  get open(): boolean {
    return this.#open
  }

  /** Sends the status and headers, once. */
  start(): void {
    if (this.#open || this.#response.destroyed) return
    this.#open = true
    this.#response.writeHead(200, {
      ...this.#onOpen(),
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache',
      'x-accel-buffering': 'no',
    })
    this.#response.flushHeaders()
  }

  /** Writes whole events; resolves when the client has room for more, or is gone. */
  async write(text: string): Promise<void> {
    this.start()
    if (text === '' || this.#response.destroyed) return
    this.#wroteMs = this.#clock.now()
    if (this.#response.write(text)) return
    await new Promise<void>((resolve) => {
      const done = () => {
        this.#response.off('drain', done)
        this.#response.off('close', done)
        resolve()
      }
      this.#response.on('drain', done)
      this.#response.on('close', done)
    })
  }

  /** Ends the heartbeat; an opened stream is ended too. */
  end(): void {
    this.#stopTimer()
    if (this.#open) this.#response.end()
  }

  #beat(): void {
    const dueMs = this.#wroteMs + silentMs - this.#clock.now()
    if (dueMs <= 0) void this.write(': keep-alive\n\n')
    this.#stopTimer = this.#clock.after(dueMs <= 0 ? silentMs : dueMs, () => this.#beat())
  }
}
