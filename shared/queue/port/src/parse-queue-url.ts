import { ForebayError } from '@forebay/kernel'
import type { QueueUrlForm } from './cloud-queue-urls.ts'

/** The parts of a cloud queue's URL. */
export interface QueueUrl {
  /** The region, project or namespace. */
  readonly host: string
  /** What every queue's name on the broker starts with. */
  readonly prefix: string
  readonly params: URLSearchParams
}

/**
 * Reads `<scheme>://<host>/<prefix>?<params>`; the prefix is "forebay" when not given. Throws `config_invalid`, with
 * the form it must have, for anything else and for a parameter that is not in `params`.
 */
export function parseQueueUrl(url: string, form: QueueUrlForm): QueueUrl {
  const invalid = (fault: string, cause?: unknown) =>
    new ForebayError('config_invalid', `The queue URL ${fault}. It looks like ${form.example}.`, { cause })
  let parsed: URL
  try {
    parsed = new URL(url)
  } catch (err) {
    throw invalid('cannot be parsed', err)
  }
  if (parsed.host === '') throw invalid('has no host')
  if (parsed.username !== '' || parsed.password !== '') {
    throw invalid('must not hold credentials: they come from the environment, as the cloud’s own tools read them')
  }
  const unknown = [...parsed.searchParams.keys()].find((name) => !form.params.includes(name))
  if (unknown !== undefined) throw invalid(`has the unknown parameter "${unknown}"`)
  const prefix = parsed.pathname.replace(/^\/|\/$/g, '') || 'forebay'
  if (!/^[A-Za-z][A-Za-z0-9]*(-[A-Za-z0-9]+)*$/.test(prefix) || prefix.length > 32 || /^goog/i.test(prefix)) {
    throw invalid(`has the prefix "${prefix}": use up to 32 letters, digits and single "-", not starting with "goog"`)
  }
  return { host: parsed.host, prefix, params: parsed.searchParams }
}
