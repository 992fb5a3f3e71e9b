import type { LookupFunction } from 'node:net'
import type { AddressPolicy } from '@forebay/address-policy'
import { type Clock, eitherSignal, isForebayError, type Running } from '@forebay/kernel'
import { Webhook } from 'standardwebhooks'
import { Agent, type Dispatcher } from 'undici'
import type { Delivery } from './deliveries.ts'
import { makeGuardedConnector } from './guarded-connector.ts'
import { parseRetryAfter } from './retry-schedule.ts'

const responseBytesMax = 64 * 1024

/** What an endpoint made of an attempt. `error` null means it took the event. */
export interface Answer {
  status: number | null
  error: string | null
  retryAfterMs?: number | undefined
}

export interface Sender extends Running {
  /**
   * Makes one attempt and never throws, unless `signal` aborts. Only a 2xx answer that ends within the time counts;
   * redirects are not followed. An answer beyond 64 KiB is cut off, and its status counts.
   */
  send(delivery: Delivery, signal: AbortSignal): Promise<Answer>
}

/** Makes what signs events (Standard Webhooks) and posts them through the guard. */
export function makeSender(options: {
  clock: Clock
  policy: AddressPolicy
  timeoutMs: number
  lookup?: LookupFunction
}): Sender {
  const { clock, timeoutMs } = options
  const agent = new Agent({
    connect: makeGuardedConnector(options),
    // Our own timer covers connecting, headers and body together, so that no slow drip outlasts it.
    headersTimeout: 0,
    bodyTimeout: 0,
    maxHeaderSize: 16 * 1024,
    // No kept-alive connections: each attempt's address is judged anew, and no stale socket fails one.
    pipelining: 0,
  })
  let stopped: Promise<void> | undefined
  return {
    send: async (delivery, signal) => {
      const timeout = new AbortController()
      const cancelTimeout = clock.after(timeoutMs, () => timeout.abort())
      const either = eitherSignal(signal, timeout.signal)
      try {
        return await post({ agent, delivery, nowMs: clock.now(), signal: either.signal })
      } catch (err) {
        if (signal.aborted) throw err
        if (timeout.signal.aborted) return { status: null, error: `no complete answer within ${timeoutMs} ms` }
        return { status: null, error: describeFailure(err) }
      } finally {
        cancelTimeout()
        either.release()
      }
    },
    stop: () => (stopped ??= agent.destroy()),
  }
}

async function post(options: {
  agent: Dispatcher
  delivery: Delivery
  nowMs: number
  signal: AbortSignal
}): Promise<Answer> {
  const { agent, delivery, nowMs, signal } = options
  const { eventId, url, secret } = delivery
  const body = JSON.stringify({
    id: eventId,
    object: 'event',
    created_at: Math.floor(delivery.createdAt.getTime() / 1000),
    type: delivery.type,
    data: delivery.data,
  })
  const target = new URL(url)
  const response = await agent.request({
    origin: target.origin,
    path: `${target.pathname}${target.search}`,
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'user-agent': 'Forebay-Webhooks',
      'webhook-id': eventId,
      'webhook-timestamp': String(Math.floor(nowMs / 1000)),
      'webhook-signature': new Webhook(secret).sign(eventId, new Date(nowMs), body),
    },
    body,
    signal,
  })
  let bytes = 0
  for await (const part of response.body) {
    bytes += (part as Buffer).length
    // Leaving the loop destroys the connection.
    if (bytes > responseBytesMax) break
  }
  const status = response.statusCode
  if (status >= 200 && status < 300) return { status, error: null }
  const retryAfter = response.headers['retry-after']
  return {
    status,
    error: status >= 300 && status < 400 ? `answered ${status}; redirects are not followed` : `answered ${status}`,
    retryAfterMs: parseRetryAfter(Array.isArray(retryAfter) ? retryAfter[0] : retryAfter, nowMs),
  }
}

// The text is shown to the endpoint's owner: it must not tell what lies inside the network, such as addresses.
function describeFailure(err: unknown): string {
  if (isForebayError(err)) return err.message
  const code = err instanceof Error && 'code' in err ? String(err.code) : 'unknown'
  return code === 'ERR_INVALID_URL' ? 'the URL is not valid' : `the connection failed (${code})`
}
