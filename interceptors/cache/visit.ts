import type { Ticket } from '#api'
import type { Entry } from './entry.ts'
import type { Group } from './rules.ts'

/** What the cache knows of one exchange. One hidden class; all fields are set here. */
export class Visit {
  /** `''` = this exchange is none of the cache's business. */
  key: string
  /** Where the answer is kept if it is for everybody; `''` = it never is. */
  publicKey: string
  server: string
  group: Group
  /** The resource that is read; `''` for all else. */
  uri: string
  id: string | number | null
  /** State of the group, and of single resources, when it was asked for. */
  epoch: string
  touches: number
  /** Whether it waits for another one, or others for it. */
  ticket: Ticket<Entry> | null
  /** An old answer, good enough should the server fail. */
  old: Entry | null
  /** Whether the server asked the client something on the way: then the answer is this client's alone. */
  hasQuestions: boolean

  constructor() {
    this.key = ''
    this.publicKey = ''
    this.server = ''
    this.group = 'calls'
    this.uri = ''
    this.id = null
    this.epoch = ''
    this.touches = 0
    this.ticket = null
    this.old = null
    this.hasQuestions = false
  }
}
