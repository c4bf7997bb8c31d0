import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { probe } from '#testing'
import secretScan from '../../interceptors/secret-scan/secret-scan.ts'
import { expand } from '../interceptors/secret-scan/samples.ts'

const VALUE = expand('{an:24}')

/** Whether a client gets to see the value in a result with this member. */
async function isSeen(member: string): Promise<boolean> {
  const scan = await probe(secretScan, { options: {} })
  const body = `{"jsonrpc":"2.0","id":1,"result":{"content":[],"structuredContent":{"it":${member}}}}`
  const { message } = await scan.response(Buffer.from(body), { method: 'tools/call', params: { name: 't' } })
  return JSON.stringify(message.json).includes(VALUE)
}

describe('a value that is named by a member before it', () => {
  const members: [string, string][] = [
    ['at once', `{"name":"DB_PASSWORD","value":"${VALUE}"}`],
    ['behind a scalar', `{"name":"DB_PASSWORD","masked":true,"version":12,"value":"${VALUE}"}`],
    ['behind a nested value', `{"name":"DB_PASSWORD","x":{"value":1},"value":"${VALUE}"}`],
    ['behind a comma on the next line', `{"name":"DB_PASSWORD"\n, "masked":true,"value":"${VALUE}"}`],
    ['under an escaped key', `{"name":"DB_PASSWORD","masked":true,"v\\u0061lue":"${VALUE}"}`],
  ]
  for (const [where, member] of members) {
    test(where, async () => assert.equal(await isSeen(member), false))
  }

  test('in another object is not', async () => {
    const member = `[{"name":"DB_PASSWORD"},{"id":1,"value":"${VALUE}"}]`
    assert.equal(await isSeen(member), true)
  })
})
