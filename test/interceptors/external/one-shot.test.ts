import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, writeFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { splitWords } from '../../../interceptors/external/words.ts'
import { NEEDS_DOCKER, testImage } from '../../helpers/docker.ts'
import { until, within } from '../../helpers/scope.ts'
import { CALL, OK, Scripts, start, untilDead } from './scripts.ts'

// biome-ignore lint/suspicious/noExplicitAny: a test knows what it asked for
type Any = any

describe('a process for each message', () => {
  const cases: [name: string, command: string, expected: string][] = [
    ['says nothing: the message goes on', 'cat >/dev/null', 'undefined'],
    ['says only blanks', 'cat >/dev/null; echo; echo "  "', 'undefined'],
    ['says {}', 'echo "{}"', 'undefined'],
    ['answers', `echo '{"result":{"content":[]}}'`, 'reply'],
    ['refuses', `echo '{"error":{"message":"no"}}'`, 'deny denied no'],
    ['refuses in short', `echo '{"error":"no"}'`, 'deny denied no'],
    ['does not read its input', `exec 0<&-; echo '{"error":"no"}'`, 'deny denied no'],
    ['fails by its exit code, whatever it said', `echo '{"result":{"content":[]}}'; exit 3`, 'deny interceptor_failed'],
    ['is killed', 'kill -9 $$', 'deny interceptor_failed'],
    ['says no JSON', 'echo hello', 'deny interceptor_failed'],
    ['says two things', 'echo "{}"; echo "{}"', 'deny interceptor_failed'],
    ['gives a bare result where that is not the form', `echo '{"content":[]}'`, 'deny interceptor_failed'],
    ['is not there', 'no-such-program-at-all', 'deny interceptor_failed'],
  ]
  for (const [name, exec, expected] of cases) {
    it(name, async t => {
      const probed = await start(t, { before: { exec, one_shot: true } })
      const { verdict } = await probed.request(CALL)
      const said =
        verdict?.code === 'denied' ? `deny denied ${verdict.reason}` : `${verdict?.action} ${verdict?.code ?? ''}`
      assert.equal(verdict === undefined ? 'undefined' : said.trim(), expected)
    })
  }

  it('is ended when it is late, with what it has started', async t => {
    const scripts = new Scripts(t)
    const exec = `sleep 1000 & echo "$$ $!" > ${scripts.path('pids')}; wait`
    const probed = await start(t, { before: { exec, one_shot: true }, timeout: '500ms' })
    assert.equal((await probed.request(CALL)).verdict?.code, 'interceptor_failed')
    const pids = scripts.read('pids').trim().split(' ').map(Number)
    assert.equal(pids.length, 2)
    for (const pid of pids) await untilDead(pid)
  })

  it('is ended when it says too much', async t => {
    const exec = ['/bin/sh', '-c', 'yes']
    const probed = await start(t, { before: { exec, one_shot: true }, max_output_bytes: '64KiB' })
    assert.equal((await probed.request(CALL)).verdict?.code, 'interceptor_failed')
  })

  it('is heard to the end, also when what it has started goes on', async t => {
    const exec = `(sleep 1000) & echo '{"error":"heard"}'`
    const probed = await start(t, { before: { exec, one_shot: true } })
    assert.equal((await probed.request(CALL)).verdict?.reason, 'heard')
  })

  it('runs so many times at once, and no more', async t => {
    const scripts = new Scripts(t)
    const exec = scripts.node(`
      import { mkdirSync, readdirSync, rmdirSync } from 'node:fs'
      const dir = ${JSON.stringify(scripts.dir)} + '/run-' + process.pid
      mkdirSync(dir)
      const running = readdirSync(${JSON.stringify(scripts.dir)}).filter(name => name.startsWith('run-')).length
      await new Promise(resolve => setTimeout(resolve, 30))
      console.log(JSON.stringify({ error: { message: String(running) } }))
      rmdirSync(dir)
    `)
    const probed = await start(t, { before: { exec, one_shot: true, processes: 2, queue: 4 } })
    const seen = await Promise.all(Array.from({ length: 8 }, () => probed.request(CALL)))
    const running = seen
      .filter(({ verdict }) => verdict?.code === 'denied')
      .map(({ verdict }) => Number(verdict?.reason))
    assert.equal(running.length, 6)
    assert.ok(Math.max(...running) <= 2, String(running))
  })

  it('ends with the policy', async t => {
    const scripts = new Scripts(t)
    const exec = `echo $$ > ${scripts.path('pid')}; trap '' TERM; while :; do sleep 0.05; done`
    const probed = await start(t, { before: { exec, one_shot: true }, timeout: '1m' })
    const pending = probed.request(CALL)
    await until(() => scripts.read('pid').endsWith('\n'), 'the script')
    await probed.close()
    assert.equal((await pending).verdict?.code, 'interceptor_failed')
    await untilDead(Number(scripts.read('pid')))
  })
})

describe('the short form: what users of Docker’s gateway have', () => {
  it('before: reads the call, says nothing on stdout', async t => {
    const scripts = new Scripts(t)
    const run = `before:exec:echo Arguments=$(jq -c ".params.arguments") > ${scripts.path('out')}`
    const probed = await start(t, { run })
    assert.equal((await probed.request(CALL)).verdict, undefined)
    assert.equal(scripts.read('out'), 'Arguments={"query":"x"}\n')
  })

  it('before: a bare result takes the place of the call', async t => {
    const probed = await start(t, {
      run: `before:exec:echo '{"content":[{"type":"text","text":"no"}],"isError":true}'`,
    })
    const { verdict } = await probed.request(CALL)
    assert.deepEqual(verdict?.result, { content: [{ type: 'text', text: 'no' }], isError: true })
  })

  it('after: reads the bare result, and edits it', async t => {
    const probed = await start(t, { run: `after:exec:jq -c '.content[].text |= (.[:2])'` })
    const { message, verdict } = await probed.response(OK, CALL)
    assert.equal(verdict, undefined)
    assert.deepEqual((message.json as Any).result, { content: [{ type: 'text', text: 'fi' }] })
  })

  it('after: reads the member response, as its documentation says', async t => {
    const script = `input=$(cat); echo "$input" | jq -r '.response | tostring'`
    const probed = await start(t, { run: `after:exec:${script}` })
    assert.deepEqual((await probed.response(OK, CALL)).message.json['result'], OK.result)
  })

  it('after: sees no errors', async t => {
    const probed = await start(t, { run: 'after:exec:exit 1' })
    const error = { error: { code: -1, message: 'x' } }
    assert.equal((await probed.response(error, CALL)).verdict, undefined)
    assert.equal((await probed.response(OK, CALL)).verdict?.code, 'interceptor_failed')
  })

  it('takes both at once, in any case', async t => {
    const probed = await start(t, { run: [`Before:EXEC:echo '{"error":"one"}'`, `after:exec:echo '{"error":"two"}'`] })
    assert.equal((await probed.request(CALL)).verdict?.reason, 'one')
    assert.equal((await probed.response(OK, CALL)).verdict?.reason, 'two')
  })
})

describe('docker', () => {
  /** A program named docker that tells how it was called, and answers line by line. */
  function fake(scripts: Scripts): void {
    const [node = '', file = ''] = scripts.lines(`
      writeFileSync(${JSON.stringify(scripts.path('call'))}, JSON.stringify({ args: process.argv.slice(2), token: process.env.API_TOKEN }))
      const answer = () => ({ error: { message: 'from the container' } })
    `)
    writeFileSync(
      scripts.path('docker'),
      `#!/bin/sh\n[ "$1" = run ] || { echo "$@" >> "${scripts.path('other')}"; exit; }\nexec "${node}" "${file}" "$@"\n`,
    )
    chmodSync(scripts.path('docker'), 0o755)
  }

  it('runs without network, privileges, a disk to write to, or secrets among its arguments', async t => {
    const scripts = new Scripts(t)
    fake(scripts)
    const env = { PATH: `${scripts.dir}:${process.env['PATH']}`, API_TOKEN: 'very-secret-value' }
    const docker = `example/check:1 --mode 'a b'`
    const probed = await start(t, { before: { docker, env, memory: '64MiB', cpus: 0.5 } })
    assert.equal((await probed.request(CALL)).verdict?.reason, 'from the container')
    const { args, token } = JSON.parse(scripts.read('call'))
    const name = args[args.indexOf('--name') + 1]
    assert.match(name, /^sluice-external-[0-9a-f]{12}$/)
    assert.equal(token, 'very-secret-value')
    assert.equal(
      args.join(' ').replace(name, 'NAME'),
      'run -i --rm --name NAME --init --network none --read-only --cap-drop ALL --security-opt no-new-privileges ' +
        '--pids-limit 128 --memory 67108864b --memory-swap 67108864b --cpus 0.5 --log-driver none ' +
        '--env PATH --env API_TOKEN example/check:1 --mode a b',
    )
  })

  it('runs a real container', NEEDS_DOCKER, async t => {
    const script = `
      require('node:readline').createInterface(process.stdin)
        .on('line', line => console.log(JSON.stringify({ id: JSON.parse(line).id, error: 'in' })))
    `
    const docker = [await testImage(), '--eval', script]
    const probed = await start(t, { before: { docker }, timeout: '1m' })
    assert.equal((await probed.request(CALL)).verdict?.reason, 'in')
  })
})

describe('the end of the parent', () => {
  for (const oneShot of [false, true]) {
    it(`ends ${oneShot ? 'a process for a message' : 'processes that stay'}, even when it is killed`, async t => {
      const scripts = new Scripts(t)
      const stubborn = `trap '' TERM HUP INT; sleep 1000 & echo "$$ $!" > ${scripts.path('tmp')}; mv ${scripts.path('tmp')} ${scripts.path('pids')}; while :; do sleep 0.05; done`
      const root = fileURLToPath(new URL('../../..', import.meta.url))
      // It kills itself as soon as the script runs: no sooner, or there would be nothing to end yet.
      const [node = '', file = ''] = scripts.node(`
        import { existsSync } from 'node:fs'
        const { probe } = await import(${JSON.stringify(`${root}proxy/testing.ts`)})
        const { default: external } = await import(${JSON.stringify(`${root}interceptors/external/external.ts`)})
        const before = { exec: ${JSON.stringify(stubborn)}, one_shot: ${oneShot} }
        const probed = await probe(external, { options: { before, timeout: '2m' } })
        void probed.request(${JSON.stringify(CALL)})
        setInterval(() => existsSync(${JSON.stringify(scripts.path('pids'))}) && process.kill(process.pid, 'SIGKILL'), 10)
      `)
      const parent = spawn(node, [file], { stdio: 'ignore', cwd: root })
      t.after(() => void parent.kill('SIGKILL'))
      const [, signal] = await within(once(parent, 'exit'), 'the end of the parent')
      assert.equal(signal, 'SIGKILL')
      const pids = scripts.read('pids').trim().split(' ').map(Number)
      assert.equal(pids.length, 2)
      for (const pid of pids) await untilDead(pid)
    })
  }
})

describe('words of a command line', () => {
  const cases: [string, string[]][] = [
    ['a  b\tc', ['a', 'b', 'c']],
    [`a 'b c' "d e"`, ['a', 'b c', 'd e']],
    [`a\\ b 'c\\d' "e\\"f" "g\\h"`, ['a b', 'c\\d', 'e"f', 'g\\h']],
    [`''`, ['']],
    [`a''b "" c`, ['ab', '', 'c']],
    ['  ', []],
    ['$HOME `x` *', ['$HOME', '`x`', '*']],
  ]
  for (const [line, words] of cases) it(JSON.stringify(line), () => assert.deepEqual(splitWords(line), words))

  it('must have an end', () => {
    assert.throws(() => splitWords(`a 'b`), /a ' is not closed/)
    assert.throws(() => splitWords('a "b'), /a " is not closed/)
  })
})
