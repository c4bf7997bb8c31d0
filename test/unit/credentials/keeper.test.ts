import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { Secret } from '../../../proxy/base/secret.ts'
import { CredentialKeeper } from '../../../proxy/credentials/keeper.ts'
import { CredentialTable, MAX_WAITING, type ShownValues, type Waiter } from '../../../proxy/credentials/shown.ts'
import type { CredentialSpec, CredentialsSpec, SecretRef, TokenSpec } from '../../../proxy/credentials/spec.ts'
import { SecretStore } from '../../../proxy/credentials/store/secret-store.ts'
import type { Timers } from '../../../proxy/credentials/token/timers.ts'
import { type TokenAnswer, TokenError } from '../../../proxy/credentials/token/token-answer.ts'
import type { TokenRequest } from '../../../proxy/credentials/token/token-endpoint.ts'
import { channels, type Notice } from '../../../proxy/observe/channels.ts'
import { FrozenClock } from '../../../proxy/testing/frozen-clock.ts'
import { until } from '../../helpers/scope.ts'

const text = (value: string): SecretRef => ({ from: 'text', prefix: '', text: new Secret(value) })

const TOKEN: TokenSpec = {
  name: 's',
  grant: 'refresh_token',
  url: 'https://auth.example/token',
  allowHttp: false,
  format: 'json',
  clientAuth: 'none',
  clientId: null,
  clientSecret: null,
  refreshToken: text('r0'),
  accessToken: null,
  expiresAt: null,
  scope: '',
  audience: '',
  resource: '',
  skewMs: 60_000,
  timeoutMs: 1000,
  header: 'authorization',
  scheme: 'Bearer',
}

/** Timers that run when the test lets time pass. */
class HeldTimers implements Timers {
  readonly clock: FrozenClock
  #due: { at: number; work: () => void }[] = []

  constructor(clock: FrozenClock) {
    this.clock = clock
  }

  after(ms: number, work: () => void): () => void {
    const one = { at: this.clock.now() + ms, work }
    this.#due.push(one)
    return () => {
      this.#due = this.#due.filter(other => other !== one)
    }
  }

  /** When the next one is due, in milliseconds from now; `null` = none. */
  get next(): number | null {
    return this.#due.length === 0 ? null : Math.min(...this.#due.map(({ at }) => at)) - this.clock.now()
  }

  pass(ms: number): void {
    this.clock.advance(ms)
    const ready = this.#due.filter(({ at }) => at <= this.clock.now())
    this.#due = this.#due.filter(one => !ready.includes(one))
    for (const { work } of ready) work()
  }
}

interface Kit {
  readonly keeper: CredentialKeeper
  readonly table: CredentialTable
  readonly clock: FrozenClock
  readonly timers: HeldTimers
  readonly asked: TokenRequest[]
  readonly notices: Notice[]
  readonly dir: string
  readonly spec: CredentialsSpec
  /** Waits until no question is open, and gives what server `s` is shown. */
  shown(): Promise<ShownValues>
}

interface KitOptions {
  readonly token?: Partial<TokenSpec> | null
  readonly part?: Partial<CredentialSpec>
  readonly dir?: string
  readonly answer?: (index: number) => TokenAnswer | Promise<TokenAnswer>
  readonly random?: number
}

const good = (index: number): TokenAnswer => ({
  accessToken: `at-${index}`,
  refreshToken: `r${index + 1}`,
  expiresIn: 3600,
})

async function kit(t: TestContext, options: KitOptions = {}): Promise<Kit> {
  const dir = options.dir ?? mkdtempSync(join(tmpdir(), 'sluice-keeper-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  const clock = new FrozenClock('2026-11-21T10:00:00Z')
  const timers = new HeldTimers(clock)
  const token = options.token === null ? null : { ...TOKEN, ...options.token }
  const everybody: CredentialSpec = { headers: [], token, expiresAt: null, ...options.part }
  const spec: CredentialsSpec = {
    encryption: true,
    keyFile: join(dir, 'key'),
    storeFile: join(dir, 'store'),
    search: ['store', dir],
    servers: new Map(
      ['s', 'also'].map(server => [server, { server, everybody, clients: new Map(), env: [], files: [] }]),
    ),
  }
  const notices: Notice[] = []
  const keep = (notice: unknown): void => void notices.push(notice as Notice)
  channels.notice.subscribe(keep)
  t.after(() => void channels.notice.unsubscribe(keep))
  const asked: TokenRequest[] = []
  let open = 0
  const ask = async (request: TokenRequest): Promise<TokenAnswer> => {
    asked.push(request)
    open++
    try {
      return await (options.answer ?? good)(asked.length - 1)
    } finally {
      open--
    }
  }
  let keeper: CredentialKeeper | null = null
  const table = new CredentialTable((...what) => keeper?.renew(...what) ?? false)
  keeper = await CredentialKeeper.open({
    ...{ spec, clock, timers, ask, pollMs: 0 },
    publish: all => table.replace(all),
    random: () => options.random ?? 0,
  })
  t.after(() => keeper?.close())
  const made = keeper
  return {
    ...{ keeper, table, clock, timers, asked, notices, dir, spec },
    async shown() {
      const now = (): ShownValues | undefined => made.values.find(({ server }) => server === 's')
      await until(() => open === 0 && now()?.coming === false, 'the end of questions')
      return now() as ShownValues
    },
  }
}

describe('a token', () => {
  it('is fetched at the start, once for all servers that share it, and renewed before its end', async t => {
    const { shown, asked, timers, keeper } = await kit(t)
    assert.deepEqual((await shown()).fields, ['authorization', 'Bearer at-0'])
    assert.deepEqual(
      keeper.values.map(({ server, fields }) => [server, fields?.[1]]),
      [
        ['s', 'Bearer at-0'],
        ['also', 'Bearer at-0'],
      ],
    )
    assert.equal(timers.next, 3_540_000)
    timers.pass(3_539_999)
    assert.equal(asked.length, 1)
    timers.pass(1)
    assert.equal((await shown()).fields?.[1], 'Bearer at-1')
    assert.deepEqual(
      asked.map(({ fields }) => fields['refresh_token']),
      ['r0', 'r1'],
    )
  })

  it('stays in use while it is renewed, and when that fails, until its end', async t => {
    const { shown, timers, table, notices } = await kit(t, {
      answer: index => {
        if (index === 0) return good(0)
        throw new TokenError('HTTP 500')
      },
    })
    await shown()
    timers.pass(3_540_000)
    const values = await shown()
    assert.deepEqual([values.fields?.[1], values.reason], ['Bearer at-0', ''])
    assert.ok(notices.some(({ text }) => text === 'Credential expired for s, also, refreshing...'))
    timers.pass(60_000)
    const late = await shown()
    assert.ok((table.server('s').find('x')?.expiresAt ?? 0) <= timers.clock.now())
    assert.equal(late.reason, 'Credential expired for s, and it could not be renewed')
  })

  it('is asked for again after 0.5, 1, 2 … 30 s, twice that at most, and at last works', async t => {
    const { shown, timers } = await kit(t, {
      answer: index => {
        if (index === 9) return good(9)
        throw new TokenError('cannot be reached')
      },
    })
    const waits: number[] = []
    for (let i = 0; i < 9; i++) {
      const { retryAt, reason } = await shown()
      assert.equal(reason, 'No credential found for s')
      assert.equal(retryAt - timers.clock.now(), timers.next)
      waits.push(timers.next ?? 0)
      timers.pass(timers.next ?? 0)
    }
    assert.deepEqual(waits, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000])
    assert.equal((await shown()).fields?.[1], 'Bearer at-9')
  })

  it('that is refused for good is asked for seldom', async t => {
    const { shown, timers } = await kit(t, {
      random: 1,
      answer: () => {
        throw new TokenError('refused: invalid_grant (HTTP 400)', true)
      },
    })
    await shown()
    assert.equal(timers.next, 600_000)
  })

  it('is not begun with when another refresh token was configured since', async t => {
    const first = await kit(t)
    await first.shown()
    first.keeper.close()
    const same = await kit(t, { dir: first.dir })
    assert.equal((await same.shown()).fields?.[1], 'Bearer at-0')
    assert.equal(same.asked.length, 0)
    same.keeper.close()
    const other = await kit(t, { dir: first.dir, token: { refreshToken: text('new') } })
    await other.shown()
    assert.equal(other.asked[0]?.fields['refresh_token'], 'new')
  })

  it('that another process has renewed already is taken from the store', async t => {
    const { shown, timers, asked, dir, clock } = await kit(t)
    await shown()
    const store = new SecretStore({ file: join(dir, 'store'), keyFile: join(dir, 'key'), clock })
    const kept = JSON.parse((await store.read()).get('token/s')?.toString() ?? '{}')
    const theirs = { ...kept, accessToken: 'theirs', refreshToken: 'r-theirs', expiresAt: clock.now() + 9_000_000 }
    await store.set('token/s', Buffer.from(JSON.stringify(theirs)))
    timers.pass(3_540_000)
    await until(() => timers.next !== null, 'the next plan')
    assert.equal((await shown()).fields?.[1], 'Bearer theirs')
    assert.equal(asked.length, 1)
  })

  it('begins with the one configured, until its end', async t => {
    const { shown, timers, asked } = await kit(t, {
      token: { accessToken: text('begin'), expiresAt: Date.parse('2026-11-21T10:10:00Z') },
    })
    assert.equal((await shown()).fields?.[1], 'Bearer begin')
    assert.equal(asked.length, 0)
    assert.equal(timers.next, 540_000)
    timers.pass(540_000)
    assert.equal((await shown()).fields?.[1], 'Bearer at-0')
  })

  it('that lives shortly is renewed at half its life, never more than once a second', async t => {
    const { shown, timers } = await kit(t, { answer: index => ({ ...good(index), expiresIn: index === 0 ? 10 : 0 }) })
    await shown()
    assert.equal(timers.next, 5000)
    timers.pass(5000)
    await shown()
    assert.equal(timers.next, 1000)
  })

  it('that no server has refused lately is renewed on demand; one just fetched is not', async t => {
    const { shown, keeper, timers, asked } = await kit(t)
    const { version } = await shown()
    assert.equal(keeper.renew('s', '', version), false)
    timers.pass(5000)
    assert.equal(keeper.renew('s', '', version), true)
    assert.equal(keeper.renew('also', '', 1), true, 'the same question')
    await shown()
    assert.equal(asked.length, 2)
    assert.equal(keeper.renew('s', '', version), true, 'a newer one is there')
    assert.equal(asked.length, 2)
  })

  it('whose refresh token cannot be read comes when it can', async t => {
    const { shown, keeper, dir, asked } = await kit(t, {
      token: { refreshToken: { from: 'secret', prefix: '', name: 'later' } },
    })
    assert.equal((await shown()).reason, 'No credential found for s')
    writeFileSync(join(dir, 'later'), 'r-later\n')
    await keeper.look()
    assert.equal((await shown()).fields?.[1], 'Bearer at-0')
    assert.equal(asked[0]?.fields['refresh_token'], 'r-later')
  })

  it('is kept encrypted', async t => {
    const { shown, dir } = await kit(t)
    await shown()
    const { readFileSync } = await import('node:fs')
    assert.doesNotMatch(readFileSync(join(dir, 'store'), 'utf8'), /at-0|refreshToken/)
  })
})

describe('what requests see', () => {
  const values = (more: Partial<ShownValues> = {}): ShownValues => ({
    ...{ server: 's', client: '', fields: ['a', '1'], uses: [], version: 1, expiresAt: null, renewable: true },
    ...{ coming: false, reason: '', retryAt: 0, authorizes: false },
    ...more,
  })

  it('is one object that changes in place, and goes when nothing is configured any more', () => {
    const table = new CredentialTable(() => false)
    const server = table.server('s')
    assert.equal(server.find('x'), null)
    table.replace([values(), values({ client: 'x', fields: ['a', '2'], authorizes: true })])
    const [everybody, own] = [server.find('y'), server.find('x')]
    assert.deepEqual([everybody?.fields?.[1], own?.fields?.[1]], ['1', '2'])
    assert.deepEqual([server.authorizes('y'), server.authorizes('x')], [false, true])
    table.replace([values({ fields: ['a', '3'], version: 2 })])
    assert.equal(server.find('x'), everybody)
    assert.equal(everybody?.fields?.[1], '3')
    assert.equal(own?.fields, null)
    table.replace([])
    assert.equal(server.find('y'), null)
  })

  it('bounds who waits, and tells all of them once', () => {
    const table = new CredentialTable(() => true)
    table.replace([values({ fields: null, coming: true })])
    const shown = table.server('s').find('') as NonNullable<ReturnType<ReturnType<typeof table.server>['find']>>
    let told = 0
    const waiter = (): Waiter => ({ credentialSettled: () => void told++ })
    for (let i = 0; i < MAX_WAITING; i++) assert.equal(shown.join(waiter()), true)
    assert.equal(shown.join(waiter()), false)
    table.replace([values({ fields: null, coming: true })])
    assert.equal(told, 0)
    table.replace([values()])
    assert.equal(told, MAX_WAITING)
    table.replace([values({ version: 2 })])
    assert.equal(told, MAX_WAITING)
  })
})
