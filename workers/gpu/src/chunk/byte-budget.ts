/** Bounds the bytes held at once; those who want more than is left wait in turn. */
export interface ByteBudget {
  /** Resolves when `bytes` may be held. More than the whole budget is let through alone. */
  take(bytes: number): Promise<void>
  give(bytes: number): void
}

/** A budget of `bytesMax`, unused. */
export function makeByteBudget(bytesMax: number): ByteBudget {
  let held = 0
  const queue: { bytes: number; resolve: () => void }[] = []
  const serve = () => {
    for (let next = queue[0]; next && (held === 0 || held + next.bytes <= bytesMax); next = queue[0]) {
      queue.shift()
      held += next.bytes
      next.resolve()
    }
  }
  return {
    take: (bytes) =>
      new Promise((resolve) => {
        queue.push({ bytes, resolve })
        serve()
      }),
    give(bytes) {
      held -= bytes
      serve()
    },
  }
}
