import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { checkVersion, findBinary } from '../../../interceptors/jq/binary.ts'
import type { Config } from '../../config/config.ts'
import { DockerEngine } from '../../fleet/docker/engine.ts'
import { enginePlace } from '../../fleet/docker/engine-place.ts'
import { findProgram } from '../find-program.ts'
import { type Finding, ok, problem } from './finding.ts'

const LIMIT_MS = 5000
const OLDEST_NODE = 24

export function checkNode(version: string): Finding {
  const text = `${version} (${process.execPath})`
  if (Number.parseInt(version.slice(1), 10) >= OLDEST_NODE) return ok('node', text)
  return problem('node', text, `use Node ${OLDEST_NODE} or newer`)
}

/** @param needed whether a policy in use has a filter */
export async function checkJq(env: NodeJS.ProcessEnv, needed: boolean): Promise<Finding> {
  try {
    const path = findBinary(env)
    const { stdout } = await promisify(execFile)(path, ['--version'], { timeout: LIMIT_MS, env: {} })
    checkVersion(path, stdout)
    return ok('jq', `${stdout.trim()} (${path})`)
  } catch (error) {
    const text = (error as Error).message.split('\n')[0] ?? ''
    if (!needed) return ok('jq', 'there is none that can be used, and no policy asks for it')
    return problem('jq', text, 'install jq ("apt-get install jq"), or set JQ_PATH to one')
  }
}

/** @param needed whether a server runs in, or is found in, containers */
export async function checkEngine(config: Config, env: NodeJS.ProcessEnv, needed: boolean): Promise<Finding> {
  const what = 'container engine'
  try {
    const engine = new DockerEngine(enginePlace(config.fleet.dockerSocket, env))
    return ok(what, `version ${await engine.version()} at ${engine.text}`)
  } catch (error) {
    const { message } = error as Error
    if (!needed) return ok(what, `none that answers, and no server asks for it`)
    return problem(what, message, 'start it; see docs/fleet/containers.md for where it is looked for')
  }
}

/** Whether the program of a server's `command`, or a tool such as cosign, is there to be run. */
export function checkProgram(what: string, program: string, env: NodeJS.ProcessEnv): Finding {
  const found = findProgram(program, process.cwd(), env['PATH'] ?? '')
  if (found !== null) return ok(what, found)
  return problem(what, `there is no program "${program}"`, 'install it, or give its whole path')
}
