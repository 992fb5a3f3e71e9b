import { isIP } from 'node:net'
import { makeAddressPolicy } from '@forebay/address-policy'
import { ForebayError } from '@forebay/kernel'

/**
 * Refuses a URL that no delivery could go to: https to a public address only, or what the operator allows. What a name
 * resolves to is checked at each delivery.
 */
export function checkWebhookUrl(text: string, allowed: readonly string[]): void {
  const refuse = (reason: string): never => {
    throw new ForebayError('invalid_value', `Invalid 'url': ${reason}`, { param: 'url' })
  }
  if (!URL.canParse(text)) refuse('expected an absolute URL such as https://example.com/hook.')
  const url = new URL(text)
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const tls = url.protocol === 'https:'
  const named = allowed.some((item) => item.toLowerCase() === host)
  const address = isIP(host) > 0 ? host : /(^|\.)localhost\.?$/.test(host) ? '127.0.0.1' : undefined
  const reason = address === undefined ? undefined : makeAddressPolicy(allowed)({ host, address, tls })
  if (!tls && (url.protocol !== 'http:' || (address === undefined ? !named : reason !== undefined))) {
    refuse('expected an https:// URL. Plain http:// is only for hosts that FOREBAY_WEBHOOK_ALLOW names.')
  }
  if (reason !== undefined) refuse(`${reason}. Only an operator opens it, with FOREBAY_WEBHOOK_ALLOW.`)
  if (url.username !== '' || url.password !== '') refuse('a URL with a user name or password is not taken.')
}
