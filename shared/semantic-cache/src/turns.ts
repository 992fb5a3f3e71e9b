const waiting: (() => void)[] = []

/**
 * Resolves in a later turn of the event loop, for one caller per turn, in the order in which they asked: whoever cuts
 * long work into slices with it holds up the process for one slice, however many do so at once.
 */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve)
    if (waiting.length === 1) setImmediate(giveTurn)
  })
}

function giveTurn(): void {
  waiting.shift()?.()
  // Set within one, it runs in the next turn: what came over the network is seen to in between.
  if (waiting.length > 0) setImmediate(giveTurn)
}
