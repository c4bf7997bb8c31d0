import type { WireMessage } from '../message/message.ts'
import type { Phase, Step } from '../policy/plan.ts'
import type { LiveExchange } from './exchange.ts'

/**
 * What is left of a phase after an entry has changed the client's request: first, once more, those before it that decide by
 * what is asked for, then the others. So access is decided on what is sent, and before anything behind the edit can send
 * it. An entry behind the edit that decides, and whose `match` fits only the new name, comes in at its place.
 * @param index of the step that made the edit, in `phase`
 * @returns `null` when nobody has to be asked again
 */
export function recheckPhase(exchange: LiveExchange, phase: Phase, message: WireMessage, index: number): Phase | null {
  if (message.kind !== 'request' || message.direction !== 'toServer' || index < phase.again) return null
  const { server, principal, table } = exchange
  const deciding = table.rechecks(server, message.method, message.name, principal.id)
  if (deciding.length === 0) return null
  const editor = phase.steps[index] as Step
  const again = deciding.filter(step => step.slot < editor.slot)
  const rest = phase.steps.slice(index + 1)
  const late = deciding.filter(step => step.slot > editor.slot && !rest.includes(step))
  if (again.length === 0 && late.length === 0) return null
  const behind = late.length === 0 ? rest : [...rest, ...late].sort((a, b) => a.slot - b.slot)
  return { ...phase, steps: [...again, ...behind], again: again.length }
}
