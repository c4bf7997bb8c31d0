import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import type { Scope } from './scope.ts'

const A = 1
const AAAA = 28
const SRV = 33
const OK = 0
const SERVFAIL = 2
const NXDOMAIN = 3

/** What a name stands for. */
export interface DnsRecords {
  readonly A?: readonly string[]
  readonly AAAA?: readonly string[]
  readonly SRV?: readonly { readonly name: string; readonly port: number; readonly priority: number }[]
}

/** A DNS server on 127.0.0.1, over UDP (RFC 1035). */
export interface DnsServer {
  /** For `Resolver.setServers`. */
  readonly address: string
  /** Questions that it has answered. */
  questions: number
  /** Name -> records; names without an entry do not exist. */
  readonly names: Map<string, DnsRecords>
  /** From now on it answers that it cannot. */
  isBroken: boolean
}

/** Starts one on a free port; it ends with `scope`. */
export async function startDns(scope: Scope): Promise<DnsServer> {
  const socket = createSocket('udp4')
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  scope.after(() => void socket.close())
  const server = {
    address: `127.0.0.1:${socket.address().port}`,
    questions: 0,
    names: new Map<string, DnsRecords>(),
    isBroken: false,
  }
  socket.on('message', (query, peer) => {
    server.questions++
    socket.send(answer(query, server), peer.port, peer.address)
  })
  return server
}

function answer(query: Buffer, server: DnsServer): Buffer {
  const end = query.indexOf(0, 12) + 5
  const name = readName(query)
  const type = query.readUInt16BE(end - 4)
  const records = server.names.get(name)
  const data = records === undefined || server.isBroken ? [] : recordData(records, type)
  const code = server.isBroken ? SERVFAIL : records === undefined ? NXDOMAIN : OK
  const head = Buffer.from(query.subarray(0, 12))
  head.writeUInt16BE(0x8580 | code, 2)
  head.writeUInt16BE(data.length, 6)
  head.writeUInt32BE(0, 8)
  return Buffer.concat([head, query.subarray(12, end), ...data.map(one => record(type, one))])
}

function readName(query: Buffer): string {
  const labels: string[] = []
  for (let at = 12; query[at] !== 0; at += 1 + (query[at] as number)) {
    labels.push(query.toString('latin1', at + 1, at + 1 + (query[at] as number)))
  }
  return labels.join('.')
}

function recordData(records: DnsRecords, type: number): Buffer[] {
  if (type === A) return (records.A ?? []).map(address => Buffer.from(address.split('.').map(Number)))
  if (type === AAAA) return (records.AAAA ?? []).map(ipv6Bytes)
  if (type !== SRV) return []
  return (records.SRV ?? []).map(({ name, port, priority }) => {
    const numbers = Buffer.alloc(6)
    numbers.writeUInt16BE(priority, 0)
    numbers.writeUInt16BE(port, 4)
    return Buffer.concat([numbers, writeName(name)])
  })
}

function ipv6Bytes(address: string): Buffer {
  const [head = '', tail = ''] = address.split('::')
  const groups = (text: string): number[] =>
    text === '' ? [] : text.split(':').map(group => Number.parseInt(group, 16))
  const [first, last] = [groups(head), groups(tail)]
  const bytes = Buffer.alloc(16)
  for (const [i, group] of first.entries()) bytes.writeUInt16BE(group, 2 * i)
  for (const [i, group] of last.entries()) bytes.writeUInt16BE(group, 16 - 2 * (last.length - i))
  return bytes
}

function writeName(name: string): Buffer {
  const labels = name.split('.').map(label => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]))
  return Buffer.concat([...labels, Buffer.alloc(1)])
}

/** One record with a pointer to the question's name and a lifetime of 0. */
function record(type: number, data: Buffer): Buffer {
  const head = Buffer.alloc(12)
  head.writeUInt16BE(0xc00c, 0)
  head.writeUInt16BE(type, 2)
  head.writeUInt16BE(1, 4)
  head.writeUInt16BE(data.length, 10)
  return Buffer.concat([head, data])
}
