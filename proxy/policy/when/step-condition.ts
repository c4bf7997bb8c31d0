import type { GlobList, Kind, Message } from '../../api/index.ts'
import type { Asked, Condition } from '../plan.ts'
import type { When } from './when.ts'

/** The condition under which one step runs: an expression, but for the messages that its look must see in any case. */
export class StepCondition implements Condition {
  readonly text: string
  readonly readsJson: boolean
  private readonly when: When
  private readonly always: GlobList

  constructor(when: When, kind: Kind, always: GlobList) {
    this.text = when.text
    this.readsJson = when.need(kind) === 'json'
    this.when = when
    this.always = always
  }

  holds(message: Message, asked: Asked): boolean {
    return this.always.fits(message.method) || this.when.holds(message, asked)
  }
}
