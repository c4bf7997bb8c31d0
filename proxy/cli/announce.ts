import { type Diagnostic, formatDiagnostic } from '../base/diagnostic.ts'
import type { Config, ServerConfig } from '../config/config.ts'
import type { Log } from '../observe/log.ts'

/** Tells in the log, once it serves: where clients connect, what stands behind, where health and metrics are. */
export function announce(running: { url: string; adminUrl: string | null }, config: Config, log: Log): void {
  const { servers, policies, inlinePolicies, workers } = config
  for (const server of servers) {
    const url = `${running.url}/servers/${server.name}/mcp`
    log.info({ server: server.name, url, replicas: replicasText(server) }, 'server')
  }
  const policy =
    policies.length + inlinePolicies.length === 0 ? 'none: pass-through' : policies.join(' ') || config.file
  log.info({ policy, workers, clients: identityText(config) }, 'policy')
  if (running.adminUrl === null) log.info({}, 'admin listener is off: no health, no metrics')
  else log.info({ metrics: `${running.adminUrl}/metrics`, ready: `${running.adminUrl}/ready` }, 'admin')
  sayListening(clientUrl(running.url, servers), log)
  log.flush()
}

/**
 * The line that scripts wait for: the word before the URL in either format, and on standard error where the log does
 * not show it.
 */
function sayListening(url: string, log: Log): void {
  const message = 'listening'
  if (!log.enabled('info')) process.stderr.write(`sluice: ${message} url=${url}\n`)
  else if (log.format === 'pretty') log.info({ url }, message)
  else log.line(`${JSON.stringify({ level: 'info', timestamp: new Date().toISOString(), message, url })}\n`)
}

/** The URL for a client's settings: `/mcp` where there is one server. */
export function clientUrl(url: string, servers: readonly ServerConfig[]): string {
  return servers.length === 1 ? `${url}/mcp` : `${url}/servers/NAME/mcp`
}

export function tellWarnings(warnings: readonly Diagnostic[], log: Log): void {
  for (const warning of warnings) log.warn({}, formatDiagnostic(warning))
}

function identityText({ clients, anonymous, trustClientId }: Config): string {
  const parts = clients.length === 0 ? [] : [`${clients.length} with an API key`]
  if (trustClientId) parts.push('X-Client-ID')
  if (anonymous === 'allow') parts.push('anonymous')
  return parts.join(', ') || 'none can get in'
}

/** Where they are, or what they come from; never arguments, which may be long. */
function replicasText({ source }: ServerConfig): string {
  switch (source.kind) {
    case 'static':
      return source.places.map(({ id }) => withoutQuery(id)).join(' ')
    case 'dns':
      return `dns ${source.name}`
    case 'docker':
      return `docker ${source.label || source.service}`
    case 'process':
      return `command ${source.command[0]} (${source.transport})`
    case 'image':
      return `image ${source.image}`
  }
}

/** A query may hold a key. */
function withoutQuery(url: string): string {
  return url.split('?', 1)[0] as string
}
