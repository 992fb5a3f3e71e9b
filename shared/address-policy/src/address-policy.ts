import ipaddr from 'ipaddr.js'

type Address = ipaddr.IPv4 | ipaddr.IPv6
type Range = [Address, number]

const ranges = (...cidrs: string[]): Range[] => cidrs.map((cidr) => ipaddr.parseCIDR(cidr))

// What a cloud tells its own machines, credentials among it. No allow-list opens these.
const metadata = ranges(
  '169.254.169.254/32',
  '169.254.170.2/32',
  '169.254.170.23/32',
  '168.63.129.16/32', // Azure's wire server: a public address by its looks
  '100.100.100.200/32',
  '192.0.0.192/32',
  'fd00:ec2::254/128',
  'fd00:ec2::23/128',
  'fd20:ce::254/128',
)

// Everything of IPv4 that is not the public internet.
const closed4 = ranges(
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10', // carrier-grade NAT
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
)

// Of IPv6 only global unicast is open, less the parts of it that stand for something else.
const open6 = ranges('2000::/3')
const closed6 = ranges(
  '2001::/23', // Teredo, ORCHID and other protocol assignments
  '2001:db8::/32',
  '2002::/16', // 6to4: an IPv4 address in disguise
  '3fff::/20',
)

// IPv6 forms whose last 32 bits are the IPv4 address that is reached: mapped, and NAT64's well-known prefix.
const wrapped4 = ranges('::ffff:0:0/96', '64:ff9b::/96')

/** Where one connection is about to go. */
export interface Target {
  /** The host as the URL names it: a name, or an address without brackets. */
  host: string
  /** The address it stands for at this moment. */
  address: string
  tls: boolean
}

/** Answers why a target may not be reached; undefined when it may. */
export type AddressPolicy = (target: Target) => string | undefined

/**
 * What webhooks may reach: public addresses over TLS. `allow` (host names, addresses, CIDR ranges) opens private
 * ones, and plain http to them. Metadata services stay closed whatever it says.
 */
export function makeAddressPolicy(allow: readonly string[]): AddressPolicy {
  const allowedRanges = allow.flatMap((item): Range[] => {
    if (ipaddr.isValidCIDR(item)) return [ipaddr.parseCIDR(item)]
    if (!ipaddr.isValid(item)) return []
    const address = ipaddr.parse(item)
    return [[address, address.kind() === 'ipv4' ? 32 : 128]]
  })
  const allowedHosts = new Set(allow.map((item) => plainHost(item)))

  return ({ host, address, tls }) => {
    if (!ipaddr.isValid(address)) return 'the host has no usable address'
    const parsed = unwrap(ipaddr.parse(address))
    if (within(parsed, metadata)) return 'the host is a metadata service'
    if (allowedHosts.has(plainHost(host)) || within(parsed, allowedRanges)) return undefined
    if (!tls) return 'plain http is not allowed; use https'
    const open = parsed.kind() === 'ipv4' ? !within(parsed, closed4) : within(parsed, open6) && !within(parsed, closed6)
    return open ? undefined : 'the host is not on the public internet'
  }
}

function within(address: Address, of: readonly Range[]): boolean {
  return of.some(([base, bits]) => address.kind() === base.kind() && address.match(base, bits))
}

function unwrap(address: Address): Address {
  return within(address, wrapped4) ? ipaddr.fromByteArray(address.toByteArray().slice(12)) : address
}

function plainHost(host: string): string {
  return host.toLowerCase().replace(/\.$/, '')
}
