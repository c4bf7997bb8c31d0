import { request } from 'undici'
import type { Scenario } from '../../proxy/load/scenario.ts'
import { plainRequest } from './generator.ts'
import type { Stage } from './stage.ts'
import { type System, urlOf } from './systems.ts'

const LIMIT_MS = 10_000

/**
 * Asks each system once what it will be asked again and again: it must answer with 200 and the upstream's bytes. Only for
 * loads without sessions, and for one upstream.
 * @throws Error that says what was answered instead
 */
export async function verify(stage: Stage): Promise<void> {
  const [port, ...others] = stage.upstreamPorts
  if (port === undefined || others.length > 0) return
  for (const system of stage.systems) {
    if (system.load.era === 'modern' && system.hasUpstream) await verifyOne(system, port)
  }
}

async function verifyOne({ name, url, load, running }: System, port: number): Promise<void> {
  const [expected, got] = [await post(urlOf(port), load), await post(url, load)]
  if (got.status === expected.status && got.body === expected.body) return
  const text = `${name} answers wrongly: status ${got.status}, expected ${expected.status} and the upstream's bytes`
  throw new Error(`${text}, got:\n${got.body.slice(0, 400)}\n${running?.output() ?? ''}`)
}

async function post(url: string, load: Scenario): Promise<{ status: number; body: string }> {
  const { body, headers } = plainRequest(load)
  const answer = await request(url, {
    method: 'POST',
    headers: [...headers],
    body,
    signal: AbortSignal.timeout(LIMIT_MS),
  })
  return { status: answer.statusCode, body: await answer.body.text() }
}
