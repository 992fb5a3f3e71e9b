import type { IncomingHttpHeaders } from 'node:http'
import type { Dispatcher } from 'undici'
import type { CallSignal } from './call-abort.ts'

/** An answer with its whole body. */
export interface WholeAnswer {
  readonly statusCode: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

/**
 * Sends a request and collects its answer without a stream in between, which costs about a quarter less than
 * `request` does. Rejects with undici's error, or with the signal's reason once it aborts, which cuts the connection.
 */
export function askWhole(
  dispatcher: Pick<Dispatcher, 'dispatch'>,
  options: Dispatcher.DispatchOptions,
  signal: CallSignal,
): Promise<WholeAnswer> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const parts: Buffer[] = []
    let controller: Dispatcher.DispatchController | undefined
    let head: Omit<WholeAnswer, 'body'> = { statusCode: 0, headers: {} }
    const cut = () => {
      controller?.abort(asError(signal.reason))
      reject(signal.reason)
    }
    signal.addEventListener('abort', cut, { once: true })
    const ended = () => signal.removeEventListener('abort', cut)
    dispatcher.dispatch(options, {
      onRequestStart(started) {
        controller = started
        // It was aborted while it waited for a connection.
        if (signal.aborted) cut()
      },
      onResponseStart(_controller, statusCode, headers) {
        head = { statusCode, headers }
      },
      onResponseData(_controller, part) {
        parts.push(part)
      },
      onResponseEnd() {
        ended()
        resolve({ ...head, body: Buffer.concat(parts) })
      },
      onResponseError(_controller, err) {
        ended()
        reject(err)
      },
    })
  })
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason))
}
