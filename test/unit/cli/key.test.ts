import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseYaml } from '../../../proxy/base/read-yaml.ts'
import { createKey, keyCreate } from '../../../proxy/cli/key.ts'
import { Identity } from '../../../proxy/downstream/identity.ts'

function created(name: string): { out: string; note: string } {
  let out = ''
  let note = ''
  keyCreate(
    name,
    text => (out += text),
    text => (note += text),
  )
  return { out, note }
}

describe('key create', () => {
  it('gives a key that the hash it prints lets in', () => {
    const { out, note } = created('claude-desktop')
    assert.match(out, /^slk_[A-Za-z0-9_-]{43}\n$/)
    assert.ok(!note.includes(out.trim()))
    const snippet = note.slice(note.indexOf('clients:'))
    const { clients } = parseYaml(snippet, 'note', {}).value as { clients: Record<string, { api_key_sha256: string }> }
    const hash = Buffer.from(clients['claude-desktop']?.api_key_sha256 ?? '', 'hex')
    const identity = new Identity({
      clients: [{ name: 'claude-desktop', keyHashes: [hash] }],
      anonymous: false,
      trustClientId: false,
    })
    assert.equal(identity.identify(`Bearer ${out.trim()}`, '')?.id, 'claude-desktop')
  })

  it('gives another key each time', () => {
    assert.notEqual(createKey().key, createKey().key)
  })

  it('refuses names that the configuration would refuse', () => {
    for (const name of ['', 'a b', 'anonymous', '-x', 'a:b', 'x'.repeat(129)]) {
      assert.throws(() => created(name), /client name/, name)
    }
  })
})
