import type { Rule } from '../rule.ts'
import { AI } from './ai.ts'
import { CHAT } from './chat.ts'
import { CLOUD } from './cloud.ts'
import { DATA } from './data.ts'
import { DELIVERY } from './delivery.ts'
import { GENERIC } from './generic.ts'
import { INFRASTRUCTURE } from './infrastructure.ts'
import { KEYS } from './keys.ts'
import { MONITORING } from './monitoring.ts'
import { PAYMENT } from './payment.ts'
import { SERVICES } from './services.ts'
import { VCS } from './vcs.ts'

/** All rules of our own. Where two find the same, the first one names it. */
export const ALL_RULES: readonly Rule[] = [
  ...CLOUD,
  ...INFRASTRUCTURE,
  ...VCS,
  ...PAYMENT,
  ...CHAT,
  ...DELIVERY,
  ...AI,
  ...DATA,
  ...MONITORING,
  ...SERVICES,
  ...KEYS,
  ...GENERIC,
]
