import { SluiceError } from '../api/index.ts'

/** When another try makes sense. */
const RETRY_AFTER_MS = 1000

/** The error of everything that needs a store which does not answer. */
export function unreachable(cause: unknown): SluiceError {
  return new SluiceError('store_unreachable', 'the store cannot be reached', cause, RETRY_AFTER_MS)
}
