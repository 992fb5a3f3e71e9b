import type { ServerResponse } from 'node:http'
import { ApiError } from './api-error.ts'
import type { FailureKind } from './failures.ts'
import { abortGeneration, type FinishReason, type Generation } from './generation.ts'
import { sendError, sendText, simHeaders } from './http.ts'
import type { Sim } from './sim.ts'

/** How chat and plain completions differ in what they show. Each function answers one element of `choices`. */
export interface AnswerFormat {
  readonly object: string
  readonly chunkObject: string
  /** What a stream says before a choice's first token. */
  first?(generation: Generation): object
  /** One token of a stream; `at` is its place in the plan, `reason` is set on the last. */
  piece(generation: Generation, at: number, text: string, reason: FinishReason | null): object
  whole(generation: Generation, reason: FinishReason): object
}

export interface ExchangeOptions {
  readonly id: string
  readonly model: string
  readonly requestId: string | undefined
  readonly format: AnswerFormat
  readonly stream: boolean
  readonly includeUsage: boolean
  readonly continuousUsage: boolean
  /** Prompt tokens of all prompts together. */
  readonly promptTokens: number
  /** Of these failures, the ones that strike when half the first choice is made. */
  readonly failure: FailureKind | undefined
}

const halfWay: readonly (FailureKind | undefined)[] = ['hang-stream', 'stream-error', 'abort', 'reset']

/** One HTTP request with its generations, from the first token to the last byte; ends early when the client leaves. */
export interface Exchange {
  onProgress(generation: Generation): void
  /** Gives the generations to the engine. */
  start(generations: readonly Generation[]): void
}

export function makeExchange(sim: Sim, res: ServerResponse, options: ExchangeOptions): Exchange {
  const { format, failure } = options
  const created = Math.floor(sim.settings.clock.now() / 1000)
  const strikesHalfWay = halfWay.includes(failure) || (failure === 'truncate' && options.stream)
  let generations: readonly Generation[] = []
  const sent: number[] = []
  let left = 0
  /** `muted`: the injected hang; the client gets nothing more, but the engine works on. */
  let state: 'open' | 'muted' | 'ended' = 'open'

  const envelope = (choices: object[], more: object = {}) => ({
    id: options.id,
    object: options.stream ? format.chunkObject : format.object,
    created,
    model: options.model,
    system_fingerprint: 'engine-sim',
    choices,
    ...more,
  })

  function usage(of: readonly Generation[]): object {
    const completion = of.reduce((sum, { generated }) => sum + generated, 0)
    const lastPrompt = generations.at(-1)?.prompt
    const cached = generations.find(({ prompt }) => prompt === lastPrompt)?.cachedTokens ?? 0
    return {
      prompt_tokens: options.promptTokens,
      completion_tokens: completion,
      total_tokens: options.promptTokens + completion,
      ...(sim.settings.promptTokensDetails ? { prompt_tokens_details: { cached_tokens: cached } } : {}),
    }
  }

  const event = (body: object) => `data: ${JSON.stringify(body)}\n\n`

  function streamPiece(generation: Generation, choice: object): void {
    res.write(event(envelope([choice], options.continuousUsage ? { usage: usage([generation]) } : {})))
  }

  function streamUpTo(generation: Generation, end: number): void {
    const { index, plan } = generation
    let at = sent[index] ?? 0
    if (at >= end) return
    if (at === 0 && format.first) streamPiece(generation, format.first(generation))
    for (; at < end; at++) {
      const text = plan.pieces[at] ?? ''
      const reason = at === plan.pieces.length - 1 ? plan.reason : null
      if (text !== '' || reason) streamPiece(generation, format.piece(generation, at, text, reason))
    }
    sent[index] = end
  }

  // Node 22 and 24 send a corked answer's end before what it has yet to send.
  function endStream(last: string): void {
    res.uncork()
    res.end(last)
  }

  function end(): void {
    state = 'ended'
    sim.open.delete(stop)
  }

  function abortAll(): void {
    for (const generation of generations) abortGeneration(sim, generation, options.requestId)
  }

  /** Answers with what there is; whatever has not ended has been aborted. */
  function complete(): void {
    end()
    if (!options.stream) {
      const choices = generations.map((generation) => format.whole(generation, generation.reason ?? 'abort'))
      const text = JSON.stringify(envelope(choices, { usage: usage(generations) }))
      sendText(res, 200, 'application/json', failure === 'truncate' ? text.slice(0, text.length / 2) : text)
      return
    }
    for (const generation of generations) {
      if (generation.reason === 'abort') streamPiece(generation, format.piece(generation, -1, '', 'abort'))
    }
    if (options.includeUsage) res.write(event(envelope([], { usage: usage(generations) })))
    endStream('data: [DONE]\n\n')
  }

  function stop(): void {
    abortAll()
    if (state === 'open') complete()
    else end()
  }

  function strike(): void {
    if (failure === 'hang-stream') {
      state = 'muted'
      return
    }
    abortAll()
    if (failure === 'abort') {
      complete()
      return
    }
    end()
    if (failure === 'reset') res.socket?.resetAndDestroy()
    else if (failure === 'truncate') endStream('data: {"id":"')
    else {
      const error = new ApiError(500, 'Injected failure: the engine failed while generating.')
      if (options.stream) endStream(`${event(error.toBody())}data: [DONE]\n\n`)
      else sendError(res, error)
    }
  }

  res.on('close', () => {
    if (state === 'ended') return
    abortAll()
    end()
  })

  return {
    start(all) {
      generations = all
      left = all.length
      if (res.destroyed) return
      if (options.stream) {
        res.writeHead(200, { ...simHeaders, 'content-type': 'text/event-stream; charset=utf-8' })
      }
      sim.open.add(stop)
      if (sim.stopping) return stop()
      for (const { work, reason } of all) if (!reason && state === 'open') sim.engine.submit(work)
      if (options.stream && state === 'open') res.flushHeaders()
    },
    onProgress(generation) {
      if (generation.reason) left--
      if (state !== 'open') return
      const half = strikesHalfWay && generation.index === 0 ? Math.floor(generation.plan.pieces.length / 2) : undefined
      const striking = half !== undefined && generation.generated >= half
      if (striking) cutBack(generation, half)
      if (options.stream) {
        res.cork()
        streamUpTo(generation, generation.generated)
        if (striking) strike()
        else if (left === 0) complete()
        res.uncork()
      } else if (striking) strike()
      else if (left === 0) complete()
    },
  }
}

/** An answer that came in one burst is shown half made, so that a failure half-way looks the same on every profile. */
function cutBack(generation: Generation, half: number): void {
  generation.generated = Math.min(generation.generated, half)
  if (generation.reason && half < generation.plan.pieces.length) generation.reason = 'abort'
}
