import type { ServerView } from '../../wiring/server-report.ts'
import { ControlClient, type ControlFlags } from '../control-client.ts'

/** `/servers/NAME`, and what comes after it. */
export function pathOf(name: string, rest = ''): string {
  return `/servers/${encodeURIComponent(name)}${rest}`
}

export async function askServers(flags: ControlFlags): Promise<ServerView[]> {
  const answer = (await ControlClient.find(flags).ask({ path: '/servers' })) as unknown as { servers: ServerView[] }
  return answer.servers
}

export async function askServer(client: ControlClient, name: string): Promise<ServerView> {
  return (await client.ask({ path: pathOf(name) })) as unknown as ServerView
}
