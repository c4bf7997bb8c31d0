import type { ShownValues } from '../../credentials/shown.ts'
import type { MetricsSnapshot } from '../../observe/exposition.ts'
import type { ServerPlaces } from '../../upstream/replica-table.ts'
import type { Settings } from '../settings.ts'
import type { ControlOrder, ControlReport } from './control.ts'
import type { FleetWord } from './fleet.ts'
import type { LimitAnswer, LimitQuestion } from './limits.ts'

/** What the supervisor tells a worker, over IPC. */
export type Order =
  | {
      readonly type: 'start'
      readonly worker: string
      readonly settings: Settings
      /** Base64 of the session tokens' key: it appears in no argument and in no environment. */
      readonly sessionKey: string
      /** What servers are shown: the secrets themselves. */
      readonly credentials: readonly ShownValues[]
      /** Where replicas are that the supervisor runs or finds. */
      readonly tables: readonly ServerPlaces[]
      /** In place of the configuration's. */
      readonly port: number
    }
  | { readonly type: 'reload' }
  /** What servers are shown from now on, all of it. */
  | { readonly type: 'credentials'; readonly all: readonly ShownValues[] }
  /** The replicas of a server from now on. */
  | { readonly type: 'places'; readonly table: ServerPlaces }
  | { readonly type: 'metrics'; readonly id: number }
  | { readonly type: 'drain'; readonly timeoutMs: number }
  | { readonly type: 'limit'; readonly id: number; readonly answer: LimitAnswer }
  | { readonly type: 'control'; readonly id: number; readonly order: ControlOrder }

/** What a worker tells the supervisor. */
export type Report =
  /** Listens for orders. */
  | { readonly type: 'up' }
  | { readonly type: 'serving'; readonly url: string }
  /** Cannot start; `exitCode` says whether files are wrong (2) or something else (1). */
  | { readonly type: 'failed'; readonly text: string; readonly exitCode: number }
  | { readonly type: 'metrics'; readonly id: number; readonly snapshot: MetricsSnapshot }
  /** A server refused this version of a credential, or its time is over. The answer is an order `credentials`. */
  | { readonly type: 'renew'; readonly server: string; readonly client: string; readonly version: number }
  /** Another configuration is in use. */
  | { readonly type: 'config' }
  | { readonly type: 'fleet'; readonly word: FleetWord }
  /** Shares a limit with the other workers. */
  | { readonly type: 'limit'; readonly id: number; readonly question: LimitQuestion }
  /** For somebody at the control socket. */
  | { readonly type: 'control'; readonly id: number; readonly report: ControlReport }
