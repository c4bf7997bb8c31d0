import { systemClock } from '../../base/clock.ts'
import type { Config } from '../../config/config.ts'
import { readAll, storeOf } from '../../credentials/read-all.ts'
import { type Finding, ok, problem } from './finding.ts'

const WHAT = 'credentials'

/** Whether every secret can be had that servers are to be shown; tokens are not fetched. */
export async function checkCredentials({ credentials }: Config): Promise<Finding[]> {
  const { servers } = credentials
  if (servers.size === 0) return []
  const { problems } = await readAll(credentials, storeOf(credentials, systemClock))
  if (problems.size === 0) return [ok(WHAT, `all there, for ${[...servers.keys()].join(', ')}`)]
  const advice = 'put it there, or keep it with `sluice secret set NAME` and write secret:NAME'
  return [...problems].map(([whose, text]) => problem(WHAT, `${whose}: ${text}`, advice))
}
