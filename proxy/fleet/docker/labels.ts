import { hostname } from 'node:os'
import { nameProcess, type ProcessName } from '../process/process-table.ts'

/** Labels by which containers, volumes and networks of ours are known. */
export const LABELS = Object.freeze({
  instance: 'sluice.instance',
  server: 'sluice.server',
  fingerprint: 'sluice.fingerprint',
  replica: 'sluice.replica',
  /** The process that started it. */
  owner: 'sluice.owner',
})

/** Whose something on the engine is. */
export interface Ownership {
  /** Tells proxies on one engine apart. */
  readonly instance: string
  readonly server: string
}

export async function labelsFor(whose: Ownership, replica: string): Promise<Record<string, string>> {
  return {
    [LABELS.instance]: whose.instance,
    [LABELS.server]: whose.server,
    [LABELS.replica]: replica,
    [LABELS.owner]: await ownName(),
  }
}

/** Filter of the engine's lists. */
export function ownFilter({ instance, server }: Ownership): { label: string[] } {
  return { label: [`${LABELS.instance}=${instance}`, `${LABELS.server}=${server}`] }
}

/** A process, and the host it is on: in a container, that is the container's short id unless somebody gave it a name. */
export interface Owner {
  readonly host: string
  /** `null` where the system does not tell. */
  readonly process: ProcessName | null
}

async function ownName(): Promise<string> {
  const name = await nameProcess(process.pid)
  return [hostname(), ...(name === null ? [] : [name.pid, name.startTicks, name.bootId, name.namespace])].join(' ')
}

/** @returns `null` = it does not say */
export function readOwner(text: string | undefined): Owner | null {
  const [host = '', pid = '', startTicks = '', bootId = '', namespace = ''] = (text ?? '').split(' ')
  if (host === '') return null
  if (!/^\d+$/.test(pid) || !/^\d+$/.test(startTicks) || bootId === '') return { host, process: null }
  return { host, process: { pid: Number(pid), startTicks: Number(startTicks), bootId, namespace } }
}
