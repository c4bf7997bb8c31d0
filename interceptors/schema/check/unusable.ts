/** A schema that nothing can be checked against, and why: fit for `its inputSchema <message>`. */
export class Unusable extends Error {
  constructor(why: string) {
    super(why)
    this.name = 'Unusable'
  }
}
