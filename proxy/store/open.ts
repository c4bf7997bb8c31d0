import type { Store } from '../api/index.ts'
import { systemClock } from '../base/clock.ts'
import { MemoryStore } from './memory.ts'
import type { RedisPlace } from './redis-client.ts'

/** A store, and how to leave it. */
export interface OwnStore extends Store {
  close(): void | Promise<void>
}

/** What `store:` of the configuration resolves to. */
export interface RedisChoice extends RedisPlace {
  readonly prefix: string
  readonly instances: number
}

/**
 * Opens what the configuration names. A Redis that cannot be reached is no error: it is tried again for ever.
 * @param workers processes of each instance
 */
export async function openStore(choice: 'memory' | RedisChoice, workers: number): Promise<OwnStore> {
  if (choice === 'memory') return new MemoryStore({ clock: systemClock })
  // It takes 28 MB to load: only where there is a Redis.
  const { RedisStore } = await import('./redis.ts')
  const { prefix, instances } = choice
  const store = new RedisStore({ place: choice, prefix, processes: instances * workers, clock: systemClock })
  await store.open()
  return store
}
