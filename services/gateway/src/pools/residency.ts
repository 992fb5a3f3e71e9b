import type { IncomingHttpHeaders } from 'node:http'
import { ForebayError } from '@forebay/kernel'
import type { Pools } from '@forebay/pools'
import { z } from 'zod'
import type { Caller } from '../auth/authenticator.ts'
import type { BatchRequest } from '../batches/batch-request.ts'

const header = 'x-forebay-residency'
const form = /^[a-z0-9][a-z0-9-]{0,62}$/

/** A residency tag. */
export const residencySchema = z.string().regex(form, 'expected lower-case letters, digits and dashes')

/** The tag that a live request's pool must carry: the header's, else its tenant's. Throws `invalid_value` for a bad header. */
export function readResidency(headers: IncomingHttpHeaders, caller: Pick<Caller, 'residency'>): string | null {
  const value = headers[header]
  if (value === undefined || value === '') return caller.residency
  if (typeof value === 'string' && form.test(value)) return value
  throw new ForebayError('invalid_value', `Invalid '${header}': expected lower-case letters, digits and dashes.`, {
    param: header,
  })
}

/**
 * The tag that the pools must carry where a batch runs: `forebay.residency` of its body, else the header, else
 * `metadata.residency` where pools have tags, else its tenant's. A tag that no pool carries is refused with
 * `invalid_value`, so that a misspelt one is told at once; a tenant's waits.
 */
export function batchResidency(options: {
  body: BatchRequest
  headers: IncomingHttpHeaders
  caller: Pick<Caller, 'residency'>
  pools: Pools
}): string | null {
  const { body, caller, headers, pools } = options
  const field = body.forebay?.residency ?? null
  const sent = readResidency(headers, { residency: null })
  const noted = tagsOf(pools).length > 0 ? (body.metadata?.['residency'] ?? null) : null
  if (field !== null) return checkResidency(field, pools, 'forebay.residency')
  if (sent !== null) return checkResidency(sent, pools, header)
  if (noted !== null) return checkResidency(noted, pools, 'metadata.residency')
  return caller.residency
}

/** The tag itself. Throws `invalid_value` when no pool carries it. */
export function checkResidency(tag: string | null, pools: Pools, param: string): string | null {
  const tags = tagsOf(pools)
  if (tag === null || tags.includes(tag)) return tag
  const known = tags.length === 0 ? 'No pool carries one.' : `The pools carry: ${tags.join(', ')}.`
  throw new ForebayError('invalid_value', `Invalid '${param}': no pool carries the residency tag '${tag}'. ${known}`, {
    param,
  })
}

function tagsOf(pools: Pools): string[] {
  return [...new Set(pools.list().flatMap((pool) => pool.residency))].sort()
}
