/** Does `work` at the end of this turn of the event loop, once however often it is asked for. */
export function oncePerTurn(work: () => void): () => void {
  let asked = false
  return () => {
    if (asked) return
    asked = true
    setImmediate(() => {
      asked = false
      work()
    })
  }
}
