import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { Reachability, type Target, targetOf } from '../../../proxy/upstream/reachability.ts'
import { refusedPort } from '../../helpers/scripted-upstream.ts'

it('a server can be reached by TCP, by a unix socket, or because it is started when needed', async t => {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-reach-'))
  t.after(() => rmSync(dir, { recursive: true }))
  const socketPath = join(dir, 'a b.sock')
  const server = createServer(socket => socket.destroy()).listen(socketPath)
  await once(server, 'listening')
  t.after(() => void server.close())
  const dead = `http://127.0.0.1:${await refusedPort()}/mcp`
  const place = { id: 'r', url: 'http://localhost/mcp', socketPath, state: 'ready' as const }
  const targets: Target[] = [
    targetOf({ server: 'socket', places: [place], coming: true, reason: '' }),
    targetOf({ server: 'lazy', places: [], coming: true, reason: '' }),
    targetOf({ server: 'none', places: [], coming: false, reason: 'it failed' }),
    { name: 'dead', urls: [dead] },
  ]
  const { ready, reasons } = await new Reachability(() => targets).ready()
  assert.equal(ready, true)
  assert.deepEqual(reasons, ['"none" cannot be reached', '"dead" cannot be reached'])
  const without = await new Reachability([{ name: 'dead', urls: [dead] }]).ready()
  assert.equal(without.ready, false)
})
