/** Cuts the text of an event stream, which comes in pieces of any size, into whole events. */
export interface SseEvents {
  /** The events that this piece completes, each with its blank line. */
  push(text: string): string[]
  /** What is left after the last whole event. */
  rest(): string
}

/** A cutter for one stream. */
export function cutSseEvents(): SseEvents {
  let buffer = ''
  return {
    push: (text) => {
      buffer += text
      const events: string[] = []
      for (;;) {
        const end = /\r?\n\r?\n/.exec(buffer)
        if (!end) return events
        const length = end.index + end[0].length
        events.push(buffer.slice(0, length))
        buffer = buffer.slice(length)
      }
    },
    rest: () => buffer,
  }
}

/** True for the chunk that ends a stream with its usage: it has no choices. */
export function isUsageChunk(event: string): boolean {
  if (!event.startsWith('data:') || !event.includes('"usage"')) return false
  try {
    const chunk: unknown = JSON.parse(event.slice('data:'.length))
    if (chunk === null || typeof chunk !== 'object' || !('choices' in chunk) || !('usage' in chunk)) return false
    return Array.isArray(chunk.choices) && chunk.choices.length === 0 && chunk.usage !== null
  } catch {
    return false
  }
}
