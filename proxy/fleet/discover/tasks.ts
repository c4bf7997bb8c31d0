import type { ReplicaPlace } from '../../upstream/replica-table.ts'
import type { DockerEngine } from '../docker/engine.ts'
import { EngineError, troubleOf } from '../docker/engine-error.ts'
import type { DockerSource } from '../spec.ts'
import { placeAt } from './containers.ts'

/** What is read of a task (Docker Engine API, `GET /tasks`). */
interface Task {
  readonly ID: string
  readonly NodeID?: string
  readonly DesiredState: string
  readonly Status: {
    readonly State: string
    readonly PortStatus?: {
      readonly Ports?: readonly {
        readonly TargetPort: number
        readonly PublishedPort: number
        readonly PublishMode: string
      }[]
    }
  }
  readonly NetworksAttachments?: readonly {
    readonly Network: { readonly Spec: { readonly Name: string } }
    /** `10.0.1.5/24` */
    readonly Addresses?: readonly string[]
  }[]
}

interface Node {
  readonly ID: string
  readonly Status?: { readonly Addr?: string }
}

/** Who is there, and whether all tasks are in the state they shall have. */
export interface FoundTasks {
  readonly places: readonly ReplicaPlace[]
  readonly isSettled: boolean
  /** `''`, or that there is no such service. */
  readonly trouble: string
}

const ENDED = new Set(['complete', 'shutdown', 'failed', 'rejected', 'orphaned', 'remove'])

/** The network of the routing mesh: nobody is reached there directly. */
const INGRESS = 'ingress'

/**
 * Running tasks of a Swarm service, on any node; those that are told to shut down are draining.
 * @throws EngineError, also when the engine is no manager
 */
export async function findTasks(engine: DockerEngine, source: DockerSource): Promise<FoundTasks> {
  const filters = { service: [source.service] }
  const what = `list tasks of service ${source.service}`
  const list = (abortSignal: AbortSignal): Promise<Task[]> => engine.docker.listTasks({ filters, abortSignal })
  let tasks: readonly Task[] = []
  try {
    tasks = await engine.call(what, list)
  } catch (error) {
    if (troubleOf(error) !== 'missing') throw noManager(error, engine)
    return { places: [], isSettled: true, trouble: `there is no service ${source.service}` }
  }
  const running = tasks.filter(task => task.Status.State === 'running')
  const nodes = running.some(task => addressOf(task, source.network) === null) ? await nodeAddresses(engine) : new Map()
  const places = running.flatMap(task => placeOf(task, source, nodes) ?? [])
  return { places, isSettled: tasks.every(isSettled), trouble: '' }
}

/** Whether it is where it shall be, or has ended. */
function isSettled({ DesiredState: desired, Status: { State: state } }: Task): boolean {
  return state === desired || ENDED.has(state)
}

function placeOf(task: Task, source: DockerSource, nodes: ReadonlyMap<string, string>): ReplicaPlace | null {
  const id = task.ID.slice(0, 12)
  const state = task.DesiredState === 'running' ? 'ready' : 'draining'
  const own = addressOf(task, source.network)
  if (own !== null) return placeAt(id, own, source.port, source.path, state)
  const node = nodes.get(task.NodeID ?? '')
  const port = publishedPort(task, source.port)
  return node === undefined || port === null ? null : placeAt(id, node, port, source.path, state)
}

function addressOf(task: Task, network: string): string | null {
  const attached = (task.NetworksAttachments ?? [])
    .map(one => ({ name: one.Network.Spec.Name, address: one.Addresses?.[0]?.split('/')[0] ?? '' }))
    .filter(one => one.address !== '' && (network === '' ? one.name !== INGRESS : one.name === network))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
  return attached[0]?.address ?? null
}

/** The port of its node, where it publishes one in mode `host`. */
function publishedPort(task: Task, target: number): number | null {
  const ports = task.Status.PortStatus?.Ports ?? []
  return ports.find(one => one.TargetPort === target && one.PublishMode === 'host')?.PublishedPort ?? null
}

async function nodeAddresses(engine: DockerEngine): Promise<ReadonlyMap<string, string>> {
  const nodes = await engine.call('list nodes', () => engine.docker.listNodes() as Promise<Node[]>)
  return new Map(nodes.flatMap(node => (node.Status?.Addr ? [[node.ID, nodeHost(node.Status.Addr)] as const] : [])))
}

/** A swarm of one node may not know its own address. */
function nodeHost(address: string): string {
  return address === '0.0.0.0' ? '127.0.0.1' : address
}

function noManager(error: unknown, engine: DockerEngine): unknown {
  if (!(error instanceof EngineError) || error.status !== 503) return error
  const text = `the Docker engine at ${engine.text} is no manager of a swarm: services are known to managers only`
  return new EngineError('refused', text, 503, error)
}
