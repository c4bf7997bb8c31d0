import type { Config } from '../config/config.ts'
import { loadSessionKey } from '../downstream/session.ts'
import { startSluice } from '../main.ts'
import { type Control, openControl } from '../observe/control.ts'
import { createLog, type Log } from '../observe/log.ts'
import { announce, tellWarnings } from './announce.ts'
import { controlPath, openOrSay } from './control-place.ts'
import { exitOnCrash } from './crash.ts'
import { FAILED, OK } from './failure.ts'
import { toLogLevel } from './log-level.ts'
import { pasteText } from './paste.ts'
import { checkCommands } from './server/check-commands.ts'
import { configOf, type RunFlags, type Settings, settingsOf } from './settings.ts'
import { holdStreams, mayGrow } from './start-memory.ts'
import { version } from './version.ts'

/** What runs: everything in this process, or workers and their supervisor. */
export interface Running {
  readonly url: string
  readonly adminUrl: string | null
  reload(): Promise<unknown>
  drain(timeoutMs?: number): Promise<void>
  close(): Promise<void>
}

/** A terminal and npm both pass Ctrl-C on: the same signal again within this time is the same keystroke. */
const SAME_KEYSTROKE_MS = 300

/** `sluice run`: resolves when it serves; from then on signals decide. */
export async function run(urls: readonly string[], flags: RunFlags, command: readonly string[]): Promise<void> {
  const demo = flags.demo === true ? await (await import('./demo.ts')).startDemo() : null
  try {
    // The file names the server; where it listens today, only the child knows.
    const settings: Settings =
      demo === null ? settingsOf(urls, flags, command) : { ...settingsOf([], flags), ...demo.server }
    const config = configOf(settings, process.env)
    const log = createLog({ level: toLogLevel(config.logLevel), format: config.logFormat })
    exitOnCrash(log)
    tellWarnings(config.warnings, log)
    checkCommands(config, settings, log)
    const running = await start(config, settings, log)
    obeySignals(running, config, log)
    announce(running, config, log)
    if (isByHand(settings) && log.format === 'pretty' && log.enabled('info')) {
      process.stdout.write(pasteText(running.url, config))
    }
    demo?.welcome(running)
    mayGrow()
  } catch (error) {
    demo?.stop()
    throw error
  }
}

/** Servers that somebody names on the command line are for a client that somebody is about to set up. */
function isByHand({ command, from }: Settings): boolean {
  return command.length > 0 || from !== ''
}

async function start(config: Config, settings: Settings, log: Log): Promise<Running> {
  const sessionKey = loadSessionKey(config)
  const common = { config, log, version: version(), sessionKey }
  if (config.workers > 1) {
    const { Supervisor } = await import('./workers/supervisor.ts')
    const supervisor = new Supervisor({ ...common, settings })
    await supervisor.start()
    return supervisor
  }
  const reread = (): Config => configOf(settings, process.env)
  const strict = settings.flags.strict ?? false
  const running = await startSluice({ ...common, reread, strict, onManyStreams: holdStreams })
  const path = controlPath(config, running.url)
  try {
    const control = await openOrSay(config, path, () => openControl({ path, answer: running.control }))
    return control === null ? running : withControl(running, control)
  } catch (error) {
    await running.close()
    throw error
  }
}

/** The socket goes first: who asks on it must not meet half a proxy. */
function withControl(running: Running, control: Control): Running {
  return {
    url: running.url,
    adminUrl: running.adminUrl,
    reload: () => running.reload(),
    drain: async timeoutMs => {
      await running.drain(timeoutMs)
      await control.close()
    },
    close: async () => {
      await Promise.all([control.close(), running.close()])
    },
  }
}

function obeySignals(running: Running, config: Config, log: Log): void {
  let stoppedAt = 0
  const stop = (signal: string): void => {
    if (stoppedAt !== 0 && performance.now() - stoppedAt < SAME_KEYSTROKE_MS) return
    if (stoppedAt !== 0) quit(running, log)
    else void drain(running, config, log, signal)
    stoppedAt ||= performance.now()
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  process.on('SIGHUP', () => void running.reload())
}

async function drain(running: Running, config: Config, log: Log, signal: string): Promise<void> {
  const { drainMs } = config.timeouts
  log.info({ signal, limit_ms: drainMs }, 'draining: no new requests; once more quits at once')
  await running.drain(drainMs)
  log.info({}, 'stopped')
  log.flush()
  process.exit(OK)
}

function quit(running: Running, log: Log): void {
  log.warn({}, 'quitting at once')
  log.flush()
  // Workers are killed before this returns; what else it does nobody waits for.
  void running.close()
  process.exit(FAILED)
}
