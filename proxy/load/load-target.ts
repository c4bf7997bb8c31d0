import { BlockList, isIP } from 'node:net'

/** An endpoint under load. */
export interface LoadTarget {
  readonly url: URL
  /** Without brackets. */
  readonly host: string
  /** Whether only this machine, or a private network, can be meant: judged by the address, never by a name alone. */
  readonly isNear: boolean
}

/** Loopback, private, link-local and unique local addresses (RFC 1122, 1918, 3927, 4193, 4291). */
const NEAR = new BlockList()
NEAR.addSubnet('127.0.0.0', 8, 'ipv4')
NEAR.addSubnet('10.0.0.0', 8, 'ipv4')
NEAR.addSubnet('172.16.0.0', 12, 'ipv4')
NEAR.addSubnet('192.168.0.0', 16, 'ipv4')
NEAR.addSubnet('169.254.0.0', 16, 'ipv4')
NEAR.addAddress('::1', 'ipv6')
NEAR.addSubnet('fc00::', 7, 'ipv6')
NEAR.addSubnet('fe80::', 10, 'ipv6')

/**
 * @param addresses what the host name resolves to; a name is near only if all of them are
 * @returns `null` when the text is no http or https URL, or has a user, a password or a fragment
 */
export function parseTarget(text: string, addresses: readonly string[]): LoadTarget | null {
  const url = URL.parse(text)
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) return null
  if (url.username !== '' || url.password !== '' || url.hash !== '') return null
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const meant = isIP(host) === 0 ? addresses : [host]
  return { url, host, isNear: meant.length > 0 && meant.every(isNear) }
}

function isNear(address: string): boolean {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1]
  const plain = mapped ?? address
  return NEAR.check(plain, isIP(plain) === 6 ? 'ipv6' : 'ipv4')
}
