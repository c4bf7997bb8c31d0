export { z } from 'zod'
export type {
  AccessControl,
  ClientRules,
  Clock,
  Count,
  Environment,
  Grant,
  Hold,
  Logger,
  Quota,
  Rehearsal,
  Store,
} from './environment.ts'
export { ERRORS, type ErrorCode, type ErrorSource, type ErrorSpec, type Retry, SluiceError } from './errors.ts'
export { parseExact } from './exact-json.ts'
export type { CallOptions, Exchange, Outcome, OutcomeStatus, Principal, VerdictRecord } from './exchange.ts'
export { GlobList, globProblem } from './glob.ts'
export {
  defineInterceptor,
  type Hook,
  type Hooks,
  type Interceptor,
  type InterceptorDefinition,
  isInterceptor,
  type MaybeAsync,
  type Schema,
} from './interceptor.ts'
export type { Json, JsonObject } from './json.ts'
export type { Look, Need } from './look.ts'
export type { Direction, Kind, Message } from './message.ts'
export { type ResultFacts, readResult } from './read-result.ts'
export { requestKey } from './request-key.ts'
export { type Access, Rights } from './rights.ts'
export { SingleFlight, type SingleFlightOptions, type Ticket } from './single-flight.ts'
export {
  estimateTokens,
  finishedResult,
  isJsonObject,
  jsonOfText,
  readableBytes,
  setOutputSchemas,
  type TextBlock,
  textBlocks,
} from './tool-result.ts'
export { byteSize, duration, formatByteSize, formatDuration, parseByteSize, parseDuration } from './units.ts'
export { Verdict, type VerdictAction } from './verdict.ts'
