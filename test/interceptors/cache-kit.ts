import type { JsonObject } from '#api'
import { type ProbeContext, type ProbeOptions, probe } from '#testing'
import cache from '../../interceptors/cache/cache.ts'

export const call = (name = 'get', args: JsonObject = {}): JsonObject => ({
  method: 'tools/call',
  params: { name, arguments: args },
})
export const LIST: JsonObject = {
  method: 'tools/list',
  params: { _meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' } },
}
export const READ: JsonObject = { method: 'resources/read', params: { uri: 'file:///a/b' } }
export const TEXT = { content: [{ type: 'text', text: 'x' }] }

export type Cache = Awaited<ReturnType<typeof make>>

export function make(options: object = { tools: ['get'] }, more: Omit<ProbeOptions, 'options'> = {}) {
  return probe(cache, { options, ...more })
}

/** Asks; where nothing is kept, the server answers. Gives what the client gets, and whether the server was asked. */
export async function get(p: Cache, request: JsonObject, answer: JsonObject | string, context: ProbeContext = {}) {
  const x = p.exchange(request, context)
  const { verdict, notes } = await x.request()
  if (verdict !== undefined) {
    x.end()
    return { asked: false, result: Buffer.from(verdict.result as Uint8Array).toString(), note: notes.cache }
  }
  await x.response(typeof answer === 'string' ? answer : 'error' in answer ? answer : { result: answer })
  x.end()
  return { asked: true, result: '', note: notes.cache }
}

export async function asks(
  p: Cache,
  request: JsonObject,
  answer: JsonObject = TEXT,
  context: ProbeContext = {},
): Promise<boolean> {
  return (await get(p, request, answer, context)).asked
}
