import { setTimeout as pause } from 'node:timers/promises'
import type { ServerView } from '../../wiring/server-report.ts'
import { ControlClient } from '../control-client.ts'
import { FAILED, OK } from '../failure.ts'
import { askServer, pathOf } from './ask.ts'
import type { ActionFlags, Print } from './flags.ts'
import { pretty } from './show.ts'
import { serverText } from './text.ts'

type Action = 'restart' | 'stop' | 'start'

/** How often it is looked whether it is done. */
const LOOK_MS = 150
/** A server that failed before must be well for so long: some end soon after their start. */
const SETTLE_MS = 3_000

/** `sluice server restart|stop|start`: asks for it and waits until it is done. Gives the exit code. */
export async function act(
  name: string,
  action: Action,
  flags: ActionFlags,
  print: Print,
  complain: Print,
): Promise<number> {
  const client = ControlClient.find(flags)
  const answer = await client.ask({ method: 'POST', path: pathOf(name, `/${action}`) })
  let { server } = answer as unknown as { server: ServerView }
  const until = performance.now() + flags.timeout
  let wellSince = 0
  while (flags.wait) {
    const now = performance.now()
    if (!isDone(server, action)) wellSince = 0
    else if (!mayRelapse(server)) break
    else if (wellSince === 0) wellSince = now
    else if (now - wellSince > SETTLE_MS) break
    if (now > until) {
      complain(`sluice: ${name} is ${server.state}: not done in time (--timeout); it goes on by itself\n`)
      print(flags.json === true ? pretty(server) : serverText(server))
      return FAILED
    }
    await pause(LOOK_MS)
    server = await askServer(client, name)
  }
  print(flags.json === true ? pretty(server) : serverText(server))
  return flags.wait && server.state === 'failed' ? FAILED : OK
}

function mayRelapse({ state, reason }: ServerView): boolean {
  return state === 'ready' && reason !== ''
}

function isDone({ state, replicas }: ServerView, action: Action): boolean {
  if (action === 'stop') return replicas.length === 0
  if (state === 'failed') return true
  // What leaves may take its time: others serve already.
  const fresh = replicas.every(
    replica => !replica.outdated || replica.state === 'draining' || replica.state === 'stopping',
  )
  return fresh && (state === 'ready' || (action === 'restart' && state === 'idle'))
}
