import type { Environment, Hooks, Interceptor, MaybeAsync } from '../api/index.ts'
import { channels } from '../observe/channels.ts'

/** Limit for `create` of one entry. */
export const CREATE_TIMEOUT_MS = 30_000

/** Limit for `close` of one entry; after it, the next one is closed. */
export const CLOSE_TIMEOUT_MS = 10_000

/** Runs `create`. Rejects with what it throws, or when it takes too long. */
export async function createHooks(
  interceptor: Interceptor,
  options: unknown,
  environment: Environment,
): Promise<Hooks<unknown>> {
  const hooks: unknown = await within(CREATE_TIMEOUT_MS, 'create', () => interceptor.create(options, environment))
  if (typeof hooks !== 'object' || hooks === null) throw new TypeError('create gave no hooks: expected an object')
  return hooks
}

/** Closes entries in reverse order. One that fails or hangs does not keep the others from it. Never rejects. */
export async function closeEntries(entries: readonly { name: string; hooks: Hooks<unknown> }[]): Promise<void> {
  for (const { name, hooks } of entries.toReversed()) {
    try {
      await within(CLOSE_TIMEOUT_MS, 'close', () => hooks.close?.())
    } catch (error) {
      const fields = { entry: name, error: (error as Error).message }
      channels.notice.publish({ level: 'warn', text: 'an interceptor failed to close', fields })
    }
  }
}

async function within<T>(limitMs: number, what: string, run: () => MaybeAsync<T>): Promise<T> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(new Error(`${what} took longer than ${limitMs / 1000}s`)), limitMs)
  try {
    return await Promise.race([run(), late.promise])
  } finally {
    clearTimeout(timer)
  }
}
