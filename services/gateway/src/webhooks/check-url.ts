import { ForebayError } from '@forebay/kernel'

/** Refuses a URL that no delivery could go to: https only, or http to a host that the operator allows. What the host resolves to is checked at each delivery. */
export function checkWebhookUrl(text: string, allowedHosts: readonly string[]): void {
  const refuse = (reason: string): never => {
    throw new ForebayError('invalid_value', `Invalid 'url': ${reason}`, { param: 'url' })
  }
  if (!URL.canParse(text)) refuse('expected an absolute URL such as https://example.com/hook.')
  const url = new URL(text)
  const plainAllowed = url.protocol === 'http:' && allowedHosts.includes(url.hostname.replace(/^\[|\]$/g, ''))
  if (url.protocol !== 'https:' && !plainAllowed) {
    refuse('expected an https:// URL. Plain http:// is only for hosts that FOREBAY_WEBHOOK_ALLOW names.')
  }
  if (url.username !== '' || url.password !== '') refuse('a URL with a user name or password is not taken.')
}
