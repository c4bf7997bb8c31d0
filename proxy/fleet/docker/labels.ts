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
    [LABELS.owner]: writeOwner(await nameProcess(process.pid)),
  }
}

/** Filter of the engine's lists. */
export function ownFilter({ instance, server }: Ownership): { label: string[] } {
  return { label: [`${LABELS.instance}=${instance}`, `${LABELS.server}=${server}`] }
}

function writeOwner(name: ProcessName | null): string {
  return name === null ? '' : [name.pid, name.startTicks, name.bootId, name.namespace].join(' ')
}

/** @returns `null` = it does not say */
export function readOwner(text: string | undefined): ProcessName | null {
  const [pid = '', startTicks = '', bootId = '', namespace = ''] = (text ?? '').split(' ')
  if (!/^\d+$/.test(pid) || !/^\d+$/.test(startTicks) || bootId === '') return null
  return { pid: Number(pid), startTicks: Number(startTicks), bootId, namespace }
}
