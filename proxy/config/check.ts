import type { Diagnostic } from '../base/diagnostic.ts'
import { isLoopback } from '../base/host-port.ts'
import type { YamlSource } from '../base/yaml-source.ts'
import { checkCredentials } from './credentials-check.ts'
import { checkVolumes } from './fleet-schema.ts'
import type { RawConfig } from './schema.ts'
import { strayKey } from './servers/source-keys.ts'
import { checkUpstreams } from './servers/upstream-check.ts'

/** What no single key can tell: keys that contradict each other, or cannot act. */
export function checkConfig(raw: RawConfig, source: YamlSource, allowNoServers: boolean): Diagnostic[] {
  return [
    ...checkServers(raw, source, allowNoServers),
    ...checkStray(raw, source),
    ...checkNesting(raw, source),
    ...checkIdentity(raw, source),
    ...checkKeys(raw, source),
    ...checkListeners(raw, source),
    ...checkCredentials(raw.credentials, source, {
      servers: raw.servers,
      clients: Object.keys(raw.clients),
      anyClient: raw.trust_client_id,
      anyServer: allowNoServers,
    }),
    ...checkVolumes(raw.servers, raw.fleet, source),
    ...checkUpstreams(raw.servers, source),
  ]
}

function checkServers(raw: RawConfig, source: YamlSource, allowNone: boolean): Diagnostic[] {
  if (allowNone || Object.keys(raw.servers).length > 0) return []
  const text = 'no server: expected at least one, such as "servers: { demo: { url: http://127.0.0.1:3001/mcp } }"'
  return [source.diagnostic(['servers'], text, { at: 'key' })]
}

/** Keys about replicas that Sluice runs, where it runs none. */
function checkStray(raw: RawConfig, source: YamlSource): Diagnostic[] {
  return Object.entries(raw.servers).flatMap(([name, server]) => {
    const stray = strayKey(server, key => source.get(['servers', name, key]) !== undefined)
    return stray === null ? [] : [source.diagnostic(['servers', name, stray[0]], stray[1], { at: 'key' })]
  })
}

/** Guides know two nestings; a file that uses both for the same thing says two things. */
function checkNesting(raw: RawConfig, source: YamlSource): Diagnostic[] {
  const found: Diagnostic[] = []
  const both = (path: string[], other: string): void => {
    found.push(source.diagnostic(path, `"${other}" says the same: give one of the two`, { at: 'key' }))
  }
  if (raw.gateway?.port !== undefined && source.get(['listen']) !== undefined) both(['gateway', 'port'], 'listen')
  if (raw.gateway?.log_level !== undefined && source.get(['log_level']) !== undefined) {
    both(['gateway', 'log_level'], 'log_level')
  }
  if (raw.access_control !== undefined && raw.policy?.access_control !== undefined) {
    both(['access_control'], 'policy.access_control')
  }
  if (raw.shadow !== undefined && raw.shadow_policy !== undefined) both(['shadow_policy'], 'shadow.policies')
  return found
}

function checkIdentity(raw: RawConfig, source: YamlSource): Diagnostic[] {
  const found: Diagnostic[] = []
  if (raw.trust_client_id && !isLoopback(raw.listen.host)) {
    const text = `anybody could claim any name: only legal when "listen" is a loopback address, and it is ${raw.listen.host}`
    found.push(source.diagnostic(['trust_client_id'], text))
  }
  if (raw.anonymous === 'deny' && Object.keys(raw.clients).length === 0) {
    const text = 'no client can get in: "clients" is empty'
    found.push(source.diagnostic(['anonymous'], text, { severity: 'warning' }))
  }
  if (raw.allowed_origins.includes('*')) {
    const text = 'any web page may use this proxy from a browser'
    found.push(source.diagnostic(['allowed_origins'], text, { severity: 'warning' }))
  }
  return found
}

/** A key that two clients share would make the answer to "who is it?" an accident. */
function checkKeys(raw: RawConfig, source: YamlSource): Diagnostic[] {
  const owners = new Map<string, string>()
  const found: Diagnostic[] = []
  for (const [name, client] of Object.entries(raw.clients)) {
    for (const hash of [client.api_key_sha256].flat()) {
      const owner = owners.get(hash.toLowerCase())
      owners.set(hash.toLowerCase(), name)
      if (owner === undefined) continue
      const text = owner === name ? 'the same key twice' : `the same key as that of client "${owner}"`
      found.push(source.diagnostic(['clients', name, 'api_key_sha256'], text))
    }
  }
  return found
}

function checkListeners(raw: RawConfig, source: YamlSource): Diagnostic[] {
  const port = raw.gateway?.port ?? raw.listen.port
  if (raw.admin === null || raw.admin.port === 0 || raw.admin.port !== port || raw.admin.host !== raw.listen.host)
    return []
  return [source.diagnostic(['admin'], `the same place as "listen" (${port}): give it a port of its own`)]
}
