import { keyHash, scoreOf } from './rendezvous.ts'
import type { Replica } from './replica.ts'
import type { Balance, HashBy } from './settings.ts'
import type { UpstreamRequest } from './upstream.ts'

/** Time and chance, so that tests can hold both still. */
export interface Chance {
  /** Milliseconds, monotonic. */
  now(): number
  /** 0 to 1, 1 excluded. */
  random(): number
}

/** Chooses among two replicas or more. */
export interface Balancer {
  pick(replicas: readonly Replica[], request: UpstreamRequest): Replica
}

export function createBalancer(balance: Balance, chance: Chance): Balancer {
  if (balance === 'round_robin') return new RoundRobin(chance)
  const least = new LeastInFlight(chance)
  return balance === 'least_in_flight' ? least : new Rendezvous(balance, chance, least)
}

/** The less busy of two picked at random ("power of two choices"): nearly as even as the least busy of all. */
class LeastInFlight implements Balancer {
  private readonly chance: Chance

  constructor(chance: Chance) {
    this.chance = chance
  }

  pick(replicas: readonly Replica[]): Replica {
    const { length } = replicas
    const i = Math.floor(this.chance.random() * length)
    const j = Math.floor(this.chance.random() * (length - 1))
    const first = replicas[i] as Replica
    const second = replicas[j < i ? j : j + 1] as Replica
    if (first.doubtful || second.doubtful) return this.pickChoosily(replicas, first, second)
    return first.inFlight <= second.inFlight ? first : second
  }

  /** As above, where one of the two has just failed or just come. */
  private pickChoosily(replicas: readonly Replica[], first: Replica, second: Replica): Replica {
    const now = this.chance.now()
    const takesFirst = first.accepts(now, this.chance)
    const takesSecond = second.accepts(now, this.chance)
    if (takesFirst !== takesSecond) return takesFirst ? first : second
    if (!takesFirst && first.avoided(now) && second.avoided(now)) {
      return replicas.find(replica => !replica.avoided(now)) ?? first
    }
    if (first.avoided(now)) return second
    return first.inFlight <= second.inFlight || second.avoided(now) ? first : second
  }
}

class RoundRobin implements Balancer {
  private readonly chance: Chance
  private turn: number

  constructor(chance: Chance) {
    this.chance = chance
    this.turn = -1
  }

  pick(replicas: readonly Replica[]): Replica {
    for (let tried = 0; tried < replicas.length; tried++) {
      const replica = this.next(replicas)
      if (!replica.doubtful || replica.accepts(this.chance.now(), this.chance)) return replica
    }
    return this.next(replicas)
  }

  private next(replicas: readonly Replica[]): Replica {
    this.turn = (this.turn + 1) % replicas.length
    return replicas[this.turn] as Replica
  }
}

/** The same key goes to the same replica; when that is gone, only its own keys move (rendezvous hashing). */
class Rendezvous implements Balancer {
  private readonly by: HashBy
  private readonly chance: Chance
  private readonly keyless: Balancer

  constructor(by: HashBy, chance: Chance, keyless: Balancer) {
    this.by = by
    this.chance = chance
    this.keyless = keyless
  }

  pick(replicas: readonly Replica[], request: UpstreamRequest): Replica {
    const key = request.hashKey(this.by)
    if (key === '') return this.keyless.pick(replicas, request)
    const hash = keyHash(key)
    let best = replicas[0] as Replica
    let bestScore = -1
    for (let i = 0; i < replicas.length; i++) {
      const replica = replicas[i] as Replica
      if (replica.doubtful && replica.avoided(this.chance.now())) continue
      const score = scoreOf(hash, replica.seed)
      if (score > bestScore) {
        best = replica
        bestScore = score
      }
    }
    return best
  }
}
