/** What one operation costs. */
export interface OperationCost {
  /** Nanoseconds, of the best round: the machine may have other work. */
  readonly nanos: number
  /** Bytes allocated, on the heap and in buffers, median of the rounds. */
  readonly bytes: number
}

export interface MicroOptions {
  /** Rounds of which the best counts; fewer for what takes long. */
  readonly rounds?: number
  /** How long a round takes at least, in milliseconds. */
  readonly roundMs?: number
}

const CALLS_BETWEEN_LOOKS = 8

/** Rounds that are looked at for what they allocate; some are spoilt by a garbage collection. */
const MEMORY_ROUNDS = 41

/** What a round should allocate: much more than the measuring itself, much less than the young generation holds. */
const ROUND_BYTES = 200_000

/** Measures one operation; its results are kept from being optimised away. */
export function measure(run: () => unknown, { rounds = 400, roundMs = 1 }: MicroOptions = {}): OperationCost {
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < rounds; round++) best = Math.min(best, timeRound(run, roundMs))
  return { nanos: best, bytes: allocatedBy(run, rounds) }
}

/** Exported, so that nobody may take it for unused. */
export let kept: unknown = null

function timeRound(run: () => unknown, roundMs: number): number {
  const start = process.hrtime.bigint()
  const until = start + BigInt(Math.round(roundMs * 1e6))
  let calls = 0
  let now = start
  while (now < until) {
    for (let i = 0; i < CALLS_BETWEEN_LOOKS; i++) kept = run()
    calls += CALLS_BETWEEN_LOOKS
    now = process.hrtime.bigint()
  }
  return Number(now - start) / calls
}

/**
 * Bytes that one call allocates, on the heap and in buffers of its own. A round in which garbage was collected shows too little
 * or less than nothing: the median leaves it out as long as that is rare.
 * @param rounds at most so many; few for what takes long
 */
export function allocatedBy(run: () => unknown, rounds = MEMORY_ROUNDS): number {
  const first = Math.max(...[1, 2, 3].map(() => allocatedIn(run, 16) / 16))
  const calls = Math.max(1, Math.min(10_000, Math.round(ROUND_BYTES / Math.max(first, 20))))
  const found: number[] = []
  for (let round = 0; round < Math.min(rounds, MEMORY_ROUNDS); round++) found.push(allocatedIn(run, calls) / calls)
  return middle(found)
}

/** Of the rounds without a garbage collection. */
function middle(found: readonly number[]): number {
  const whole = found.filter(bytes => bytes > -1).sort((a, b) => a - b)
  return Math.max(0, whole[whole.length >> 1] ?? Number.NaN)
}

/** The same for what ends later; what runs beside it is in the figure. */
export async function allocatedByAsync(run: () => Promise<unknown>, calls = 50): Promise<number> {
  const found: number[] = []
  for (let round = 0; round < MEMORY_ROUNDS; round++) {
    const before = inUse()
    for (let i = 0; i < calls; i++) kept = await run()
    found.push((inUse() - before - OWN_BYTES) / calls)
  }
  return middle(found)
}

function allocatedIn(run: () => unknown, calls: number): number {
  const before = inUse()
  for (let i = 0; i < calls; i++) kept = run()
  return inUse() - before - OWN_BYTES
}

function inUse(): number {
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/** What the two looks allocate themselves. */
const OWN_BYTES = ownBytes()

function ownBytes(): number {
  const found: number[] = []
  for (let i = 0; i < 200; i++) {
    const before = inUse()
    found.push(inUse() - before)
  }
  return found.toSorted((a, b) => a - b)[100] ?? 0
}

/** One line: nanoseconds, bytes allocated, and, where the operation reads `bytes`, its speed. */
export function printCost(label: string, { nanos, bytes }: OperationCost, read = 0, more = ''): void {
  const speed = read === 0 ? '' : `${((read / nanos) * 1000).toFixed(0).padStart(7)} MB/s`
  const own = Number.isNaN(bytes) ? '?' : bytes.toFixed(0)
  console.log(`${label.padEnd(44)}${format(nanos).padStart(12)} ns/op${own.padStart(10)} B/op${speed}${more}`)
}

function format(nanos: number): string {
  return nanos < 100 ? nanos.toFixed(1) : Math.round(nanos).toLocaleString('en')
}
