import assert from 'node:assert/strict'
import { it } from 'node:test'
import { channels } from '../../../proxy/observe/channels.ts'
import { renderSnapshot } from '../../../proxy/observe/exposition.ts'
import { type FleetFigures, FleetMetrics } from '../../../proxy/observe/fleet-metrics.ts'

it('tells of replicas by state, of what they use, and of what happened to them', t => {
  const metrics = new FleetMetrics()
  metrics.start()
  t.after(() => metrics.stop())
  channels.fleet.publish({ server: 'kb', what: 'started', seconds: 0.2 })
  channels.fleet.publish({ server: 'kb', what: 'lost', seconds: 0 })
  const ready = { state: 'ready', memoryBytes: 1000, cpuCores: 0.5 }
  const servers: FleetFigures[] = [
    { name: 'kb', desired: 3, replicas: [ready, ready, { state: 'starting', memoryBytes: -1, cpuCores: -1 }] },
    { name: 'none', desired: 0, replicas: [] },
    { name: 'far', desired: -1, replicas: [ready] },
  ]
  const lines = renderSnapshot({ worker: '', families: metrics.snapshot(servers) }).split('\n')
  const figures = lines.filter(line => !line.startsWith('#') && !line.includes('bucket') && !line.endsWith(' 0'))
  assert.deepEqual(figures.filter(Boolean), [
    'sluice_fleet_replicas{server="kb",state="starting"} 1',
    'sluice_fleet_replicas{server="kb",state="ready"} 2',
    'sluice_fleet_desired_replicas{server="kb"} 3',
    'sluice_server_memory_usage_bytes{server="kb"} 2000',
    'sluice_server_cpu_usage_cores{server="kb"} 1',
    'sluice_fleet_restarts_total{server="kb"} 1',
    'sluice_fleet_start_duration_seconds_sum{server="kb"} 0.2',
    'sluice_fleet_start_duration_seconds_count{server="kb"} 1',
  ])
  assert.doesNotMatch(lines.join('\n'), /far/, 'others run its replicas')
  assert.match(lines.join('\n'), /sluice_fleet_desired_replicas\{server="none"\} 0/)
})
