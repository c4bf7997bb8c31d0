/** Thrown by a check that has used up its budget. */
export class OverBudget extends Error {
  constructor() {
    super('takes too much work to check')
    this.name = 'OverBudget'
  }
}

/**
 * Counts the steps of one check, because synchronous code cannot be interrupted: a schema of 30 lines can ask for 2^30
 * steps, and so can a small value under a schema that refers to itself. One step is about 10 ns.
 */
export class Meter {
  /** Steps left. */
  left = 0
  /** Made once: a stack trace for each would cost more than the check. */
  readonly spent = new OverBudget()

  spend(steps: number): void {
    this.left -= steps
    if (this.left < 0) throw this.spent
  }
}
