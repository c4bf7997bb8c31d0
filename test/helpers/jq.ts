import { findBinary } from '../../interceptors/jq/binary.ts'

/** Why tests of jq are left out: there is none here. Where CI says that it is one, they run and fail instead. */
export const noJq: string | false = (process.env['CI'] ?? '') === '' && missing()

function missing(): string | false {
  try {
    findBinary(process.env)
    return false
  } catch (error) {
    return (error as Error).message
  }
}
