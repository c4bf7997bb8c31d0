import { Family, type FamilySpec, Histogram, type Merge, Value } from './series.ts'

/** Every metric that the channels feed, in the order of the text: R104's, with `sluice_` and units in the names. */
export type Families = ReturnType<typeof createFamilies>

/** @param max series a family may have before new label values become `other` */
export function createFamilies(max: number) {
  const make = (type: FamilySpec['type'], name: string, labels: string, help: string, merge: Merge): FamilySpec => {
    const names = labels.split(' ').filter(Boolean)
    // A server is configured and a code is ours; what a flood can invent is the name of a tool.
    return { name, help, type, merge, labels: names, fold: names.includes('tool') ? ['tool'] : names }
  }
  const counter = (name: string, labels: string, help: string, merge: Merge = 'sum') =>
    new Family(make('counter', name, labels, help, merge), () => new Value(), max)
  const gauge = (name: string, labels: string, help: string, merge: Merge = 'sum') =>
    new Family(make('gauge', name, labels, help, merge), () => new Value(), max)
  const time = (name: string, labels: string, help: string) =>
    new Family(make('histogram', name, labels, help, 'sum'), () => new Histogram(), max)
  return {
    requests: counter('sluice_requests_total', 'server method status', 'Exchanges that ended, by how they ended.'),
    active: gauge('sluice_active_requests', 'server', 'Exchanges that run now.'),
    duration: time(
      'sluice_request_duration_seconds',
      'server method',
      'From the first byte of the request to the last byte of its answer.',
    ),
    toolCalls: counter('sluice_tool_invocations_by_server_total', 'server tool', 'tools/call that ended, by tool.'),
    clientCalls: counter('sluice_tool_invocations_by_client_total', 'client', 'tools/call that ended, by client.'),
    toolErrors: counter('sluice_tool_errors_total', 'server tool code', 'tools/call that gave no good result.'),
    toolSeconds: time('sluice_tool_execution_duration_seconds', 'server tool', 'Time of the server for a tools/call.'),
    routing: time(
      'sluice_gateway_routing_duration_seconds',
      'server',
      "Sluice's own time for an exchange: duration less the server's and the interceptors'.",
    ),
    upstream: time('sluice_upstream_duration_seconds', 'server', "From sending to the end of the server's answer."),
    firstByte: time('sluice_upstream_first_byte_seconds', 'server', "From sending to the head of the server's answer."),
    interceptors: time('sluice_interceptor_duration_seconds', 'entry', 'Time in one chain entry during an exchange.'),
    verdicts: counter('sluice_interceptor_verdicts_total', 'entry action mode', 'What chain entries decided.'),
    bytes: counter('sluice_bytes_total', 'server direction', 'Bytes of messages to servers and answers to clients.'),
    refusals: counter('sluice_refusals_total', 'code', 'Requests refused before they became an exchange.'),
    policyReloads: counter('sluice_policy_reloads_total', 'result', 'Policies loaded, or kept out by an error.', 'max'),
    configReloads: counter(
      'sluice_config_reloads_total',
      'what result',
      'Configuration and TLS files loaded, or kept out by an error.',
      'max',
    ),
    generation: gauge('sluice_policy_generation', '', 'Number of the policy in use; 1 = the first.', 'max'),
    replicas: gauge('sluice_replicas', 'server state', 'Replicas by state; the largest number a worker sees.', 'max'),
    guarded: counter(
      'sluice_upstream_events_total',
      'server event',
      'Retries, refusals, circuits opened, and the like.',
    ),
    waiting: gauge('sluice_upstream_waiting_requests', 'server', 'Requests that wait for a replica or for room.'),
    activeServers: gauge('sluice_active_mcp_servers', '', 'MCP servers that have a reachable replica.', 'max'),
  }
}
