import { BlockList, isIP } from 'node:net'

const RANGES = new BlockList()
for (const [network, bits] of [
  ['127.0.0.0', 8],
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['169.254.0.0', 16],
  ['100.64.0.0', 10],
] as const) {
  RANGES.addSubnet(network, bits, 'ipv4')
}
RANGES.addAddress('::1', 'ipv6')
RANGES.addSubnet('fc00::', 7, 'ipv6')
RANGES.addSubnet('fe80::', 10, 'ipv6')

/** Names that lead nowhere outside: one label (a container's), and the domains set aside for it (RFC 6761, RFC 8375). */
const PRIVATE_NAME = /^(?:[a-z0-9_-]+|.*\.(?:internal|local|localhost|lan|home\.arpa))$/i

/** Whether an IP address is loopback, private, link-local or shared (RFC 1918, 4193, 3927, 6598). */
export function isPrivateAddress(address: string): boolean {
  const family = isIP(address)
  return family !== 0 && RANGES.check(address, family === 4 ? 'ipv4' : 'ipv6')
}

/** The same for the host of a URL; a name counts by what it looks like. */
export function isPrivateHost(hostname: string): boolean {
  const host = hostname.replace(/^\[|\]$/g, '')
  return isIP(host) === 0 ? PRIVATE_NAME.test(host) : isPrivateAddress(host)
}
