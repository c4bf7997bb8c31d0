import { ControlClient } from '../control-client.ts'
import { FAILED, OK } from '../failure.ts'
import { askServer, askServers, pathOf } from './ask.ts'
import type { Print, ServerFlags } from './flags.ts'
import { serversText, serverText } from './text.ts'

/** `sluice server ls`. Gives the exit code. */
export async function ls(flags: ServerFlags, print: Print): Promise<number> {
  const servers = await askServers(flags)
  print(flags.json === true ? pretty({ servers }) : serversText(servers))
  return OK
}

/** `sluice server status`. @param name `''` = all */
export async function status(name: string, flags: ServerFlags, print: Print): Promise<number> {
  const servers = name === '' ? await askServers(flags) : [await askServer(ControlClient.find(flags), name)]
  if (flags.json === true) print(pretty(name === '' ? { servers } : servers[0]))
  else print(servers.length === 0 ? serversText([]) : servers.map(serverText).join('\n'))
  return servers.some(({ state }) => state === 'failed') ? FAILED : OK
}

/** `sluice server inspect`: JSON in any case. */
export async function inspect(name: string, flags: ServerFlags, print: Print): Promise<number> {
  print(pretty(await ControlClient.find(flags).ask({ path: pathOf(name, '/inspect') })))
  return OK
}

export function pretty(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`
}
