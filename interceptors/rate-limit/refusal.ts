import { type Grant, Verdict } from '#api'
import type { Rule, What } from './rule.ts'

const UNITS: Readonly<Record<What, string>> = {
  requests: 'requests',
  concurrent: 'requests',
  result_bytes: 'bytes',
  result_tokens: 'tokens',
}
/** Units of quotas that the draft names; tokens are ours. */
const QUOTA_UNITS: Readonly<Record<What, string>> = {
  requests: 'requests',
  concurrent: 'concurrent-requests',
  result_bytes: 'content-bytes',
  result_tokens: 'tokens',
}
const STORE_RETRY_MS = 1000

/** What a client reads that has had all it may have (R046). */
export function exceeded(rule: Rule, grant: Grant): Verdict {
  const { limit, windowMs } = rule.quota
  const wait = Math.ceil(grant.retryMs)
  const reason = `Rate limit exceeded: ${limit} ${UNITS[rule.what]} per ${windowMs}ms`
  const data = { rule: rule.name, limit, window_ms: windowMs, retry_after_ms: wait }
  return Verdict.deny('rate_limited', reason, data, {
    'ratelimit-policy': `"${rule.name}";q=${limit};qu="${QUOTA_UNITS[rule.what]}";w=${seconds(windowMs)}`,
    ratelimit: `"${rule.name}";r=0;t=${seconds(wait)}`,
  })
}

/** Nobody knows when a place will be free: there is no time to come back. */
export function crowded(rule: Rule): Verdict {
  const { limit } = rule.quota
  const data = { rule: rule.name, limit }
  return Verdict.deny('rate_limited', `Rate limit exceeded: ${limit} requests at a time`, data, {
    'ratelimit-policy': `"${rule.name}";q=${limit};qu="${QUOTA_UNITS.concurrent}"`,
    ratelimit: `"${rule.name}";r=0`,
  })
}

/** Where the policy says `store_down: refuse`. */
export function uncounted(): Verdict {
  const reason = 'Rate limits cannot be checked now: the store does not answer'
  return Verdict.deny('store_unreachable', reason, { retry_after_ms: STORE_RETRY_MS })
}

/** draft-ietf-httpapi-ratelimit-headers-10: whole seconds. */
function seconds(ms: number): number {
  return Math.max(1, Math.ceil(ms / 1000))
}
