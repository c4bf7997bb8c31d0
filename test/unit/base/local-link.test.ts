import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { test } from 'node:test'
import fc from 'fast-check'
import { acceptLocally, type ByteLink, connectLocally } from '../../../proxy/base/local-link.ts'

let paths = 0

function pair(): [near: ByteLink, far: ByteLink, stop: () => void] {
  const path = `/nowhere/${paths++}.sock`
  let far: ByteLink | null = null
  const stop = acceptLocally(path, end => {
    far = end
  })
  const near = connectLocally(path)
  assert.ok(near !== null && far !== null)
  return [near, far, stop]
}

/** What an end takes until the other one has ended. */
async function taken(end: ByteLink): Promise<Buffer> {
  const chunks: Buffer[] = []
  end.on('data', chunk => void chunks.push(chunk))
  await once(end as never, 'end')
  return Buffer.concat(chunks)
}

function turn(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}

test('nobody listens, or nobody listens any more', () => {
  assert.equal(connectLocally('/nowhere/at-all.sock'), null)
  const path = '/nowhere/stopped.sock'
  acceptLocally(path, () => {})()
  assert.equal(connectLocally(path), null)
})

test('one that stops does not stop the one that came after it', () => {
  const path = '/nowhere/replaced.sock'
  const stopFirst = acceptLocally(path, () => {})
  const stop = acceptLocally(path, () => {})
  stopFirst()
  assert.ok(connectLocally(path) !== null)
  stop()
})

test('nothing arrives in the turn in which it was written, and all of it in order', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 30_000 }), { maxLength: 20 }), async pieces => {
      const [near, far] = pair()
      const got = taken(far)
      let inside = true
      far.on('data', () => assert.ok(!inside))
      for (const piece of pieces) near.write(piece)
      near.end()
      inside = false
      assert.deepEqual(await got, Buffer.concat(pieces))
    }),
    { numRuns: 50 },
  )
})

test('one that does not read makes the other one wait, and tells it when to go on', async () => {
  const [near, far] = pair()
  let got = 0
  far.on('data', chunk => {
    got += chunk.length
  })
  far.pause()
  assert.equal(near.write(randomBytes(60_000)), true)
  assert.equal(near.write(randomBytes(10_000)), false)
  assert.equal(near.writableLength, 70_000)
  await turn()
  assert.equal(got, 0)
  const drained = once(near as never, 'drain')
  far.resume()
  await drained
  assert.equal(got, 70_000)
  assert.equal(near.writableLength, 0)
})

test('a pause in the middle holds what is left', async () => {
  const [near, far] = pair()
  const got: string[] = []
  far.on('data', chunk => {
    got.push(String(chunk))
    far.pause()
  })
  for (const text of ['a', 'b', 'c']) near.write(Buffer.from(text))
  await turn()
  assert.deepEqual(got, ['a'])
  far.resume()
  await turn()
  far.resume()
  await turn()
  assert.deepEqual(got, ['a', 'b', 'c'])
})

test('an end comes behind everything that was written, and both ends are closed', async () => {
  const [near, far] = pair()
  const closed = Promise.all([once(near as never, 'close'), once(far as never, 'close')])
  const got = taken(far)
  near.write(Buffer.from('all '))
  near.end('of it')
  assert.equal(String(await got), 'all of it')
  await closed
})

test('one that is destroyed takes and gives nothing more; the other one sees the end', async () => {
  const [near, far] = pair()
  const seen: string[] = []
  near.on('data', () => seen.push('data'))
  far.write(Buffer.from('too late'))
  const ended = once(far as never, 'end')
  near.destroy()
  near.write(Buffer.from('never'))
  far.on('data', () => seen.push('never'))
  await ended
  await turn()
  assert.deepEqual(seen, [])
})

test('destroySoon waits until the other one has taken all', async () => {
  const [near, far] = pair()
  far.pause()
  const got = taken(far)
  let isClosed = false
  near.on('close', () => {
    isClosed = true
  })
  near.write(Buffer.from('still wanted'))
  near.destroySoon()
  await turn()
  assert.equal(isClosed, false)
  far.resume()
  assert.equal(String(await got), 'still wanted')
  await turn()
  assert.equal(isClosed, true)
})
