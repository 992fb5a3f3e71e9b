import { describe, expect, it } from 'vitest'
import { makeAddressPolicy } from './address-policy.ts'

const refused = [
  ['loopback', '127.0.0.1', '127.255.255.254', '::1'],
  ['unspecified', '0.0.0.0', '0.1.2.3', '::'],
  ['private', '10.0.0.1', '172.16.0.1', '172.31.255.255', '192.168.1.1', 'fc00::1', 'fd12:3456::1'],
  ['carrier-grade NAT', '100.64.0.1', '100.127.255.255'],
  ['link-local', '169.254.0.1', 'fe80::1', 'fe80::1%eth0'],
  ['metadata', '169.254.169.254', '168.63.129.16', '100.100.100.200', 'fd00:ec2::254', 'fd20:ce::254'],
  ['multicast and broadcast', '224.0.0.1', '239.255.255.255', '255.255.255.255', 'ff02::1'],
  ['reserved and documentation', '192.0.2.1', '198.18.0.1', '198.51.100.1', '203.0.113.1', '240.0.0.1', '2001:db8::1'],
  ['mapped', '::ffff:127.0.0.1', '::ffff:a9fe:a9fe', '::ffff:168.63.129.16', '::ffff:10.0.0.1'],
  ['IPv4-compatible', '::127.0.0.1', '::a9fe:a9fe'],
  ['NAT64', '64:ff9b::7f00:1', '64:ff9b::a9fe:a9fe', '64:ff9b:1::a00:1'],
  ['tunnels', '2002:7f00:1::', '2001:0:4136:e378::1'],
  ['other spellings of loopback', '2130706433', '0x7f000001', '0x7f.1', '0177.0.0.1', '127.1'],
  ['no address', 'localhost', ''],
] satisfies [string, ...string[]][]

describe('makeAddressPolicy', () => {
  const policy = makeAddressPolicy([])

  it.each(refused)('refuses %s', (_kind, ...addresses) => {
    for (const address of addresses)
      expect(policy({ host: 'x.test', address, tls: true }), address).toBeTypeOf('string')
  })

  it('lets public addresses through over TLS only', () => {
    for (const address of ['8.8.8.8', '1.1.1.1', '100.128.0.1', '172.32.0.1', '2606:4700::1111', '64:ff9b::808:808']) {
      expect(policy({ host: 'x.test', address, tls: true }), address).toBeUndefined()
      expect(policy({ host: 'x.test', address, tls: false }), address).toMatch(/use https/)
    }
  })

  it('opens what the operator allows, by host, address or range, also without TLS', () => {
    const allowing = makeAddressPolicy(['hooks.internal', '10.1.0.0/16', '192.168.1.7', 'fd12::/16'])
    for (const [host, address] of [
      ['HOOKS.internal.', '127.0.0.1'],
      ['other', '10.1.2.3'],
      ['other', '::ffff:10.1.2.3'],
      ['other', '192.168.1.7'],
      ['other', 'fd12::1'],
    ] as const) {
      expect(allowing({ host, address, tls: false }), address).toBeUndefined()
    }
    for (const address of ['10.2.0.1', '192.168.1.8', 'fd13::1', '127.0.0.1']) {
      expect(allowing({ host: 'other', address, tls: true }), address).toBeTypeOf('string')
    }
  })

  it('keeps metadata services closed whatever is allowed', () => {
    const allowing = makeAddressPolicy(['0.0.0.0/0', '::/0', 'metadata.test'])
    for (const address of ['169.254.169.254', '168.63.129.16', 'fd00:ec2::254', '::ffff:169.254.169.254']) {
      expect(allowing({ host: 'metadata.test', address, tls: true }), address).toMatch(/metadata/)
    }
  })
})
