import { lookup as systemLookup } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import type { AddressPolicy } from '@forebay/address-policy'
import { ForebayError } from '@forebay/kernel'
import { buildConnector } from 'undici'

/**
 * An undici connector that reaches only what the policy allows. The address is judged when it is connected to, so a
 * name that changes its answer in between gains nothing; if one of a name's addresses is refused, all are.
 * A refusal is a ForebayError `permission_denied`.
 */
export function makeGuardedConnector(options: {
  policy: AddressPolicy
  timeoutMs: number
  lookup?: LookupFunction
}): buildConnector.connector {
  const { policy, timeoutMs, lookup = systemLookup } = options
  const connectors = {
    'http:': buildConnector({ timeout: timeoutMs, lookup: guardLookup({ policy, lookup, tls: false }) }),
    'https:': buildConnector({ timeout: timeoutMs, lookup: guardLookup({ policy, lookup, tls: true }) }),
  }
  return (target, callback) => {
    const tls = target.protocol === 'https:'
    // Node looks up no literal, so its lookup never sees one.
    const literal = target.hostname.replace(/^\[|\]$/g, '')
    const reason = isIP(literal) ? policy({ host: literal, address: literal, tls }) : undefined
    if (reason !== undefined) return callback(refusal(reason), null)
    return connectors[tls ? 'https:' : 'http:'](target, callback)
  }
}

function guardLookup(options: { policy: AddressPolicy; lookup: LookupFunction; tls: boolean }): LookupFunction {
  const { policy, lookup, tls } = options
  return (host, lookupOptions, callback) => {
    lookup(host, { ...lookupOptions, all: true }, (err, found) => {
      if (err) return callback(err, [])
      const addresses = Array.isArray(found) ? found : []
      const first = addresses[0]
      if (!first) return callback(refusal('the host has no address'), [])
      for (const { address } of addresses) {
        const reason = policy({ host, address, tls })
        if (reason !== undefined) return callback(refusal(reason), [])
      }
      return lookupOptions.all ? callback(null, addresses) : callback(null, first.address, first.family)
    })
  }
}

function refusal(reason: string): ForebayError {
  return new ForebayError('permission_denied', `Not sent: ${reason}.`)
}
