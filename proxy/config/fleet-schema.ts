import { realpathSync } from 'node:fs'
import { dirname, resolve, sep } from 'node:path'
import { z } from 'zod'
import type { Diagnostic } from '../base/diagnostic.ts'
import type { YamlSource } from '../base/yaml-source.ts'
import type { FleetSettings } from '../fleet/spec/container.ts'
import { resolveVolume } from './servers/container-keys.ts'

const INSTANCE = /^[a-z0-9][a-z0-9-]{0,39}$/

/** `fleet:` of `sluice.yaml`: what holds for the replicas of all servers. */
export const fleetSchema = z.strictObject({
  instance: z
    .string()
    .regex(INSTANCE, { error: 'expected a name of a-z, 0-9 and -, at most 40 characters' })
    .optional()
    .meta({ description: 'tells the containers of this proxy from those of others on the same engine' }),
  allowed_host_paths: z
    .array(z.string().min(1))
    .default([])
    .meta({ description: 'host paths that the volumes of containers may show' }),
  docker: z.strictObject({ socket: z.string().min(1).optional() }).prefault({}),
})

export type RawFleet = z.infer<typeof fleetSchema>

export const NO_FLEET: FleetSettings = Object.freeze({ instance: '', allowedHostPaths: [], dockerSocket: '' })

/** @param absolute makes a path of the file absolute */
export function resolveFleet(raw: RawFleet, absolute: (path: string) => string): FleetSettings {
  const { instance = '', docker } = raw
  return {
    instance,
    allowedHostPaths: raw.allowed_host_paths.map(absolute),
    dockerSocket: docker.socket === undefined ? '' : absolute(docker.socket.replace(/^unix:\/\//, '')),
  }
}

/** Volumes that no container will get. Checked again, links followed, when one starts. */
export function checkVolumes(
  servers: Readonly<Record<string, { readonly volumes?: readonly string[] | undefined }>>,
  fleet: RawFleet,
  source: YamlSource,
): Diagnostic[] {
  const absolute = (path: string): string => resolve(dirname(source.file), path)
  const roots = fleet.allowed_host_paths.map(path => real(absolute(path)))
  return Object.entries(servers).flatMap(([name, { volumes = [] }]) =>
    volumes.flatMap((text, index) => {
      const volume = resolveVolume(text, absolute)
      const path = real(volume.source)
      if (volume.kind === 'named' || roots.some(root => path === root || path.startsWith(root + sep))) return []
      const problem = `${volume.source} is outside of fleet.allowed_host_paths: name it there, or a folder above it`
      return [source.diagnostic(['servers', name, 'volumes', index], problem)]
    }),
  )
}

function real(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}
