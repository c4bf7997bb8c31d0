/** Most server requests remembered at once; beyond, the oldest is forgotten and its answer has method `''`. */
const MAX_PENDING = 10_000

/**
 * Remembers which method a server's own requests had (sampling, elicitation, roots), so that the client's answers can
 * meet the right interceptors. An answer whose request passed through another process is found nowhere: its method is
 * `''`, and every entry that could match applies to it.
 */
export class PendingRequests {
  private readonly methods = new Map<string, string>()

  add(session: string, idText: string, method: string): void {
    this.methods.set(key(session, idText), method)
    if (this.methods.size > MAX_PENDING) this.methods.delete(this.methods.keys().next().value as string)
  }

  /** The method of the request with this id in this session, which is forgotten; `''` when not known. */
  take(session: string, idText: string): string {
    const at = key(session, idText)
    const method = this.methods.get(at)
    if (method === undefined) return ''
    this.methods.delete(at)
    return method
  }
}

function key(session: string, idText: string): string {
  return `${session} ${idText}`
}
