import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { probe } from '#testing'
import noWeekendDeploys from '../../interceptors/custom/no-weekend-deploys.ts'

const SATURDAY = '2026-01-03T12:00:00Z'
const MONDAY = '2026-01-05T12:00:00Z'

describe('no-weekend-deploys', () => {
  it('refuses a deploy on a Saturday and says why', async () => {
    const p = await probe(noWeekendDeploys, { now: SATURDAY })
    const { verdict, notes } = await p.request(call('deploy_app'))
    assert.equal(verdict?.code, 'denied')
    assert.equal(verdict.reason, 'No deploys on Sat (UTC): deploy_app is refused')
    assert.deepEqual(notes, { deploy_day: 'Sat' })
  })

  it('lets it pass on a Monday, and by the clock on the next Saturday no more', async () => {
    const p = await probe(noWeekendDeploys, { now: MONDAY })
    assert.equal((await p.request(call('deploy_app'))).verdict, undefined)
    p.clock.advance(5 * 24 * 3600 * 1000)
    assert.equal((await p.request(call('deploy_app'))).verdict?.code, 'denied')
  })

  it('asks only about deploys', async () => {
    const p = await probe(noWeekendDeploys, { now: SATURDAY })
    for (const message of [
      call('echo'),
      { method: 'tools/list' },
      { method: 'prompts/get', params: { name: 'deploy' } },
    ]) {
      const { verdict, notes } = await p.request(message)
      assert.deepEqual([verdict, notes], [undefined, {}])
    }
  })

  it('knows a deploy behind a slash or a dot', async () => {
    const p = await probe(noWeekendDeploys, { now: SATURDAY })
    for (const name of ['ops/deploy', '.deploy', 'a.b/deploy/now']) {
      assert.equal((await p.request(call(name))).verdict?.code, 'denied', name)
    }
  })

  it('goes by the days of the time zone', async () => {
    const options = { tools: ['ship'], days: ['sun'], time_zone: 'Pacific/Auckland' }
    const p = await probe(noWeekendDeploys, { options, now: SATURDAY })
    assert.match((await p.request(call('ship'))).verdict?.reason ?? '', /No deploys on Sun \(Pacific\/Auckland\)/)
    await assert.rejects(probe(noWeekendDeploys, { options: { tools: ['a{'] } }), /options\.tools\.0: bad glob "a\{"/)
    await assert.rejects(
      probe(noWeekendDeploys, { options: { time_zone: 'Mars/Base' } }),
      /options\.time_zone: expected an IANA time zone, like "Europe\/Berlin"/,
    )
  })
})

function call(name: string) {
  return { method: 'tools/call', params: { name, arguments: {} } }
}
