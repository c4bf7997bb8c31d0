import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import { Identity, type IdentityOptions, maxClaimedIds } from '../../../proxy/downstream/identity.ts'

const sha = (text: string): Buffer => createHash('sha256').update(text).digest()
const agent = { name: 'agent', keyHashes: [sha('slk_one'), sha('slk_two')] }
const admin = { name: 'admin', keyHashes: [sha('slk_admin')] }

function identity(options: Partial<IdentityOptions> = {}): Identity {
  return new Identity({ clients: [agent, admin], anonymous: true, trustClientId: false, ...options })
}

describe('Identity', () => {
  it('knows a client by each of its keys, with one frozen object', () => {
    const some = identity()
    const principal = some.identify('Bearer slk_one', '')
    assert.deepEqual({ ...principal }, { id: 'agent', via: 'api-key' })
    assert.ok(Object.isFrozen(principal))
    assert.equal(some.identify('bearer   slk_two', ''), principal)
    assert.equal(some.identify('BEARER slk_admin', '')?.id, 'admin')
  })

  it('refuses a wrong credential, also where anonymous clients are let in', () => {
    const wrong = [
      'Bearer slk_on',
      'Bearer slk_onee',
      'Bearer',
      'Bearer ',
      'Basic slk_one',
      'slk_one',
      'Bearer slk_one x',
      ' ',
    ]
    for (const authorization of [...wrong, `Bearer ${'x'.repeat(5000)}`, `Bearer ${sha('slk_one').toString('hex')}`]) {
      assert.equal(identity().identify(authorization, ''), null, authorization.slice(0, 40))
    }
  })

  it('lets a client without a credential in only as anonymous, if at all', () => {
    assert.deepEqual({ ...identity().identify('', '') }, { id: 'anonymous', via: 'anonymous' })
    assert.equal(identity({ anonymous: false }).identify('', ''), null)
  })

  it('leaves Authorization alone when no client has a key', () => {
    const open = identity({ clients: [] })
    assert.equal(open.identify('Bearer of-the-server-behind', ''), open.identify('', ''))
    assert.equal(identity({ clients: [], anonymous: false }).identify('Bearer x', ''), null)
  })

  it('believes X-Client-ID only where the operator says so', () => {
    assert.equal(identity().identify('', 'claude')?.id, 'anonymous')
    const trusting = identity({ trustClientId: true, anonymous: false })
    const claude = trusting.identify('', 'claude-desktop')
    assert.deepEqual({ ...claude }, { id: 'claude-desktop', via: 'claimed' })
    assert.equal(trusting.identify('', 'claude-desktop'), claude)
    assert.equal(trusting.identify('', ''), null)
  })

  it('refuses a claimed id that belongs to a client with a key, and strange ones', () => {
    const trusting = identity({ trustClientId: true })
    for (const claim of ['agent', 'admin', '*', 'a b', 'a\tb', 'ä', 'x'.repeat(129), '-x']) {
      assert.equal(trusting.identify('', claim), null, claim)
    }
    assert.equal(trusting.identify('Bearer slk_one', 'admin')?.id, 'agent')
    assert.equal(trusting.identify('Bearer nope', 'claude'), null)
  })

  it('keeps a bounded number of claimed principals and still answers for all', () => {
    const trusting = identity({ trustClientId: true })
    const first = trusting.identify('', 'client-0')
    for (let index = 1; index <= maxClaimedIds * 2; index++) {
      assert.equal(trusting.identify('', `client-${index}`)?.id, `client-${index}`)
    }
    assert.notEqual(trusting.identify('', 'client-0'), first)
    assert.deepEqual(trusting.identify('', 'client-0'), first)
  })

  it('refuses a key that two clients share and a hash of another size', () => {
    const twin = { name: 'twin', keyHashes: [sha('slk_one')] }
    assert.throws(() => identity({ clients: [agent, twin] }), /"agent" and "twin" have the same key/)
    assert.throws(() => identity({ clients: [{ name: 'short', keyHashes: [Buffer.alloc(20)] }] }), /"short".*32 bytes/)
  })

  it('takes other clients into use, and keeps the ones it has when those are wrong', () => {
    const some = identity({ trustClientId: true })
    assert.equal(some.identify('', 'robot')?.via, 'claimed')
    const robot = { name: 'robot', keyHashes: [sha('slk_robot')] }
    some.replace({ clients: [robot], anonymous: false, trustClientId: true })
    assert.equal(some.identify('Bearer slk_one', ''), null)
    assert.equal(some.identify('', 'robot'), null)
    assert.equal(some.identify('Bearer slk_robot', '')?.id, 'robot')
    const short = { name: 'short', keyHashes: [Buffer.alloc(1)] }
    assert.throws(() => some.replace({ clients: [short], anonymous: true, trustClientId: false }))
    assert.equal(some.identify('Bearer slk_robot', '')?.id, 'robot')
  })
})
