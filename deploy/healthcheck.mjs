/* Exits 0 when the URL answers 2xx, else 1. The images have no curl. Default: this container's own /healthz. */
const url = process.argv[2] ?? 'http://127.0.0.1:8080/healthz'
try {
  const response = await fetch(url, { signal: AbortSignal.timeout(4_000) })
  if (!response.ok) throw new Error(`${response.status} ${(await response.text()).slice(0, 500)}`)
} catch (err) {
  process.stderr.write(`${url}: ${err instanceof Error ? err.message : String(err)}\n`)
  process.exit(1)
}
