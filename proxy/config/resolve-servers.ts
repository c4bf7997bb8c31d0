import { resolve } from 'node:path'
import { z } from 'zod'
import { LoadError } from '../base/diagnostic.ts'
import { validate } from '../base/validate.ts'
import { YamlSource } from '../base/yaml-source.ts'
import type { ServerConfig } from './config.ts'
import { configSchema, type RawConfig } from './schema.ts'
import { resolveBridge } from './servers/bridge-keys.ts'
import { resolveContainer } from './servers/container-keys.ts'
import { resolveLife, resolveSource } from './servers/source-keys.ts'
import { resolveUpstream } from './servers/upstream-keys.ts'

/** @param absolute makes the path of a file absolute */
export function resolveServers(
  servers: RawConfig['servers'],
  absolute: (path: string) => string,
): readonly ServerConfig[] {
  return Object.entries(servers).map(([name, server]) => ({
    name,
    urls: server.urls ?? (server.url === undefined ? [] : [server.url]),
    source: resolveSource(server, absolute),
    life: resolveLife(server),
    bridge: resolveBridge(server, { acquireTimeoutMs: server.acquire_timeout, maxWaiting: server.max_waiting }),
    container: resolveContainer(server, absolute),
    forwardAuthorization: server.forward_authorization,
    headers: server.headers,
    connections: server.connections,
    upstream: resolveUpstream(server, absolute),
  }))
}

const onlyServers = z.strictObject({ servers: configSchema.shape.servers })

/**
 * Servers that do not come from `sluice.yaml`, in its words. Relative paths begin at the working directory.
 * @param source what problems point into; default: the command line
 * @throws LoadError with every problem found
 */
export function serversGiven(servers: object, source?: YamlSource): readonly ServerConfig[] {
  const given = source ?? new YamlSource('<command line>', null, [], null)
  const { value, diagnostics } = validate(given.absent([], { servers }), onlyServers)
  if (value === null) throw new LoadError(diagnostics)
  return resolveServers(value.servers, path => resolve(path))
}
