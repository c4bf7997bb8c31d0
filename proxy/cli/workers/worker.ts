import { systemClock } from '../../base/clock.ts'
import { CredentialTable } from '../../credentials/shown.ts'
import { type Sluice, startSluice } from '../../main.ts'
import { createLog, type Log } from '../../observe/log.ts'
import { WorkerStore } from '../../store/worker-store.ts'
import type { ServerPlaces } from '../../upstream/replica-table.ts'
import { exitOnCrash } from '../crash.ts'
import { failureOf } from '../failure.ts'
import { toLogLevel } from '../log-level.ts'
import { configOf } from '../settings.ts'
import { holdStreams, mayGrow } from '../start-memory.ts'
import { version } from '../version.ts'
import { ControlLink } from './control.ts'
import { fleetLink } from './fleet.ts'
import { LimitLink } from './limits.ts'
import type { Order, Report } from './protocol.ts'

/** The program of a worker process: it does what the supervisor says and ends with it. */
let sluice: Sluice | null = null
let log: Log | null = null
let isDraining = false
/** What the supervisor said last about each server. */
const tables = new Map<string, ServerPlaces>()
const limits = new LimitLink((id, question) => report({ type: 'limit', id, question }))
const credentials = new CredentialTable((server, client, version) => {
  report({ type: 'renew', server, client, version })
  return true
})
const control = new ControlLink((id, told) => report({ type: 'control', id, report: told }))

// A terminal sends its signals to the whole group: the supervisor decides what they mean.
process.on('SIGINT', () => {})
process.on('SIGHUP', () => {})
process.on('SIGTERM', () => void drain())
process.on('message', (order: Order) => void obey(order))
report({ type: 'up' })

async function obey(order: Order): Promise<void> {
  if (order.type === 'start') await start(order)
  else if (order.type === 'limit') limits.heard(order.id, order.answer)
  else if (order.type === 'credentials') credentials.replace(order.all)
  else if (order.type === 'drain') await drain(order.timeoutMs)
  else if (order.type === 'places') place(order.table)
  else if (sluice === null) return
  else if (order.type === 'reload') await sluice.reload()
  else if (order.type === 'control') control.heard(order.id, order.order, sluice.control)
  else report({ type: 'metrics', id: order.id, snapshot: sluice.metrics() })
}

async function start(order: Extract<Order, { type: 'start' }>): Promise<void> {
  try {
    const { settings, worker, port } = order
    const reread = () => configOf(settings, process.env)
    const config = reread()
    credentials.replace(order.credentials)
    for (const table of order.tables) place(table)
    log = createLog({ level: toLogLevel(config.logLevel), format: config.logFormat }).child({ worker })
    exitOnCrash(log)
    sluice = await startSluice({
      config: { ...config, admin: null, listen: { ...config.listen, port } },
      log,
      version: version(),
      strict: settings.flags.strict ?? false,
      reread,
      sessionKey: Buffer.from(order.sessionKey, 'base64'),
      worker,
      credentials,
      fleet: { link: fleetLink(word => report({ type: 'fleet', word })), tables: [...tables.values()] },
      onConfig: () => report({ type: 'config' }),
      onManyStreams: holdStreams,
      ...(config.store === 'memory' && { store: sharedStore(config.workers) }),
    })
    // What was said while it started.
    for (const table of tables.values()) sluice.replicas(table)
    report({ type: 'serving', url: sluice.url })
    mayGrow()
  } catch (error) {
    const { text, exitCode } = failureOf(error)
    report({ type: 'failed', text, exitCode }, () => process.exit(exitCode))
  }
}

function place(table: ServerPlaces): void {
  tables.set(table.server, table)
  sluice?.replicas(table)
}

/** Limits hold for all workers together. */
function sharedStore(workers: number): WorkerStore {
  return new WorkerStore({ clock: systemClock, backend: limits, processes: workers })
}

/** @param timeoutMs default: the configuration's */
async function drain(timeoutMs?: number): Promise<void> {
  if (isDraining) return
  isDraining = true
  await sluice?.drain(timeoutMs)
  log?.flush()
  process.exit(0)
}

function report(message: Report, sent?: () => void): void {
  if (process.connected) process.send?.(message, undefined, undefined, () => sent?.())
  else sent?.()
}
