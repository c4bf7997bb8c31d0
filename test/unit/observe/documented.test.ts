import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { z } from '#api'
import audit from '../../../interceptors/audit/audit.ts'
import { Metrics } from '../../../proxy/observe/metrics.ts'

const text = readFileSync(new URL('../../../docs/observability.md', import.meta.url), 'utf8')
const firstCells = text
  .split('\n')
  .filter(line => line.startsWith('| `'))
  .map(line => line.split(' | ')[0] as string)

test('docs/observability.md has every metric there is, and no other', () => {
  const metrics = new Metrics({ version: '0' })
  metrics.start()
  const real = metrics.snapshot().families.map(family => family.name)
  metrics.stop()
  const written = firstCells.flatMap(cell => cell.match(/(?:sluice|process|nodejs)_\w+/g) ?? [])
  // The lag of the event loop is there only once it was measured; the number of files, where the system tells it.
  const late = written.filter(name => /^nodejs_eventloop_lag_|^process_open_fds$/.test(name))
  assert.deepEqual([...new Set([...real, ...late])].toSorted(), written.toSorted())
})

test('docs/interceptors/audit.md has every option of audit, with its default', () => {
  const page = readFileSync(new URL('../../../docs/interceptors/audit.md', import.meta.url), 'utf8')
  const schema = z.toJSONSchema(audit.options as z.ZodType, { io: 'input' }) as { properties: Record<string, object> }
  for (const [name, property] of Object.entries(schema.properties)) {
    const given = Reflect.get(property, 'default')
    const shown = typeof given === 'string' ? given : JSON.stringify(given)
    const row = given === undefined ? `| \`${name}\` | ` : `| \`${name}\` | \`${shown}\` |`
    assert.ok(page.includes(row), `${name}: default ${shown}`)
  }
})
