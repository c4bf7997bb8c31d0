import { randomBytes } from 'node:crypto'
import { accessSync, constants, statSync } from 'node:fs'
import { delimiter, isAbsolute, join } from 'node:path'
import type { Environment } from '#api'
import type { Target } from './options.ts'
import { splitWords } from './words.ts'

/** How to start a process. */
export interface Command {
  readonly file: string
  readonly env: NodeJS.ProcessEnv
  readonly cwd: string
  /** Arguments of one start, and the name of the container that it makes; `''` = none. */
  start(): { args: readonly string[]; container: string }
}

/** What every process gets of our environment: no secrets, and enough to run. */
const INHERITED = ['PATH', 'HOME', 'LANG', 'LC_ALL', 'LC_CTYPE', 'TZ', 'TMPDIR', 'USER', 'LOGNAME', 'SHELL']
/** What the client of Docker needs besides that. */
const DOCKER_INHERITED = ['DOCKER_HOST', 'DOCKER_CONTEXT', 'DOCKER_CONFIG', 'DOCKER_CERT_PATH', 'DOCKER_TLS_VERIFY']
const SECRET_NAME = /TOKEN|SECRET|PASSW|KEY|CREDENTIAL/i
const SHORTEST_SECRET = 8

/** @throws Error where it cannot be started, or would show a secret in the list of processes */
export function commandOf(target: Target, environment: Environment): Command {
  const isDocker = target.docker !== undefined
  const given = target.exec ?? target.docker ?? []
  refuseSecrets(given)
  const inherited = [...INHERITED, ...(isDocker ? DOCKER_INHERITED : []), ...target.inherit_env]
  const own = Object.fromEntries(
    inherited.flatMap(name => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  )
  const env = { ...own, ...target.env }
  const [file, start] = isDocker ? dockerRun(target, given) : plainRun(given)
  requireExecutable(file, environment.baseDir, env['PATH'] ?? '')
  return { file, env, cwd: environment.baseDir, start }
}

type Start = Command['start']

function plainRun(given: string | readonly string[]): [file: string, start: Start] {
  if (typeof given === 'string') return ['/bin/sh', () => ({ args: ['-c', given], container: '' })]
  const [file = '', ...args] = given
  return [file, () => ({ args, container: '' })]
}

/**
 * A container that can do nothing but read its input and write its output. Values of variables are taken from the
 * environment of `docker`, so that they are in no list of processes.
 */
function dockerRun(target: Target, given: string | readonly string[]): [file: string, start: Start] {
  const words = typeof given === 'string' ? splitWords(given) : given
  const limits = ['--memory', `${target.memory}b`, '--memory-swap', `${target.memory}b`, '--cpus', String(target.cpus)]
  const safe = ['--network', target.network, '--read-only', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges']
  const variables = [...Object.keys(target.env), ...target.inherit_env].flatMap(name => ['--env', name])
  const common = ['--init', ...safe, '--pids-limit', '128', ...limits, '--log-driver', 'none', ...variables]
  const start: Start = () => {
    const container = `sluice-external-${randomBytes(6).toString('hex')}`
    return { args: ['run', '-i', '--rm', '--name', container, ...common, ...words], container }
  }
  return ['docker', start]
}

/** Everybody on the machine reads the arguments of everybody's processes. */
function refuseSecrets(given: string | readonly string[]): void {
  const text = typeof given === 'string' ? given : given.join(' ')
  for (const [name, value = ''] of Object.entries(process.env)) {
    if (!SECRET_NAME.test(name) || value.length < SHORTEST_SECRET || !text.includes(value)) continue
    throw new Error(
      `the command holds the value of the environment variable ${name}, which everybody on this machine could read in ` +
        `the list of processes: put it under env, and write $NAME (without braces) in the command`,
    )
  }
}

function requireExecutable(file: string, cwd: string, path: string): void {
  const candidates = file.includes('/')
    ? [isAbsolute(file) ? file : join(cwd, file)]
    : path.split(delimiter).map(folder => join(folder, file))
  if (candidates.some(isExecutable)) return
  throw new Error(`"${file}" is no program that can be started${file.includes('/') ? '' : ': it is not on PATH'}`)
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return statSync(file).isFile()
  } catch {
    return false
  }
}
