import { BlockList, isIP } from 'node:net'
import { ForebayError } from '@forebay/kernel'

/** Refuses a URL that no delivery could go to: https only, or http to a host that the operator allows. What the host resolves to is checked at each delivery. */
export function checkWebhookUrl(text: string, allowed: readonly string[]): void {
  const refuse = (reason: string): never => {
    throw new ForebayError('invalid_value', `Invalid 'url': ${reason}`, { param: 'url' })
  }
  if (!URL.canParse(text)) refuse('expected an absolute URL such as https://example.com/hook.')
  const url = new URL(text)
  const plainAllowed = url.protocol === 'http:' && isAllowed(url.hostname.replace(/^\[|\]$/g, ''), allowed)
  if (url.protocol !== 'https:' && !plainAllowed) {
    refuse('expected an https:// URL. Plain http:// is only for hosts that FOREBAY_WEBHOOK_ALLOW names.')
  }
  if (url.username !== '' || url.password !== '') refuse('a URL with a user name or password is not taken.')
}

// A name counts by itself, an address also by a range; what a name resolves to is the delivery's to check.
function isAllowed(host: string, allowed: readonly string[]): boolean {
  if (allowed.includes(host)) return true
  const version = isIP(host)
  if (version === 0) return false
  const ranges = new BlockList()
  for (const item of allowed) {
    const [address = '', bits] = item.split('/')
    if (bits !== undefined && isIP(address) === version)
      ranges.addSubnet(address, Number(bits), version === 4 ? 'ipv4' : 'ipv6')
  }
  return ranges.check(host, version === 4 ? 'ipv4' : 'ipv6')
}
