import { realpathSync, statSync } from 'node:fs'
import { sep } from 'node:path'
import { LaunchError } from '../launcher.ts'
import type { VolumeSpec } from '../spec/container.ts'
import type { DockerEngine } from './engine.ts'

/** Whoever can talk to one of these owns the machine. */
const ENGINE_SOCKETS = [
  '/run/docker.sock',
  '/run/containerd/containerd.sock',
  '/run/podman/podman.sock',
  '/run/crio/crio.sock',
]

/** One entry of `HostConfig.Mounts`. */
export interface Mount {
  readonly Type: 'bind' | 'volume'
  readonly Source: string
  readonly Target: string
  readonly ReadOnly: boolean
}

/**
 * Mounts of a container. A host path must lie, with every link followed, inside of an allowed path; what is mounted is the
 * path that was checked. No path that shows the socket of an engine is ever mounted.
 * @param allowed absolute host paths
 * @throws LaunchError (permanent) for the first volume that may not be mounted
 */
export function checkedMounts(
  volumes: readonly VolumeSpec[],
  allowed: readonly string[],
  engine: Pick<DockerEngine, 'socketPath' | 'text'>,
): Mount[] {
  const roots = allowed.flatMap(path => real(path) ?? [])
  const sockets = [engine.socketPath, ...ENGINE_SOCKETS].filter(path => path !== '').map(path => real(path) ?? path)
  return volumes.map(volume => {
    const rest = { Target: volume.target, ReadOnly: volume.readOnly }
    if (volume.kind === 'named') return { Type: 'volume', Source: volume.source, ...rest }
    return { Type: 'bind', Source: hostPath(volume.source, roots, sockets, engine), ...rest }
  })
}

function hostPath(
  path: string,
  roots: readonly string[],
  sockets: readonly string[],
  engine: Pick<DockerEngine, 'socketPath' | 'text'>,
): string {
  const refuse = (why: string): never => {
    throw new LaunchError(`the volume ${path} may not be mounted: ${why}`, true)
  }
  if (engine.socketPath === '') return refuse(`the Docker engine at ${engine.text} may be another machine`)
  const found = real(path) ?? refuse('there is no such path')
  if (!roots.some(root => isWithin(found, root))) {
    const followed = found === path ? '' : ` (it leads to ${found})`
    refuse(`it is outside of fleet.allowed_host_paths${followed}`)
  }
  if (sockets.some(socket => isWithin(socket, found))) refuse('it shows the socket of a container engine')
  if (statSync(found).isSocket()) refuse('it is a socket')
  return found
}

function real(path: string): string | null {
  try {
    return realpathSync(path)
  } catch {
    return null
  }
}

function isWithin(path: string, root: string): boolean {
  return path === root || path.startsWith(root.endsWith(sep) ? root : root + sep)
}
