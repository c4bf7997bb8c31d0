import { GlobList } from '../api/index.ts'
import type { HttpCall } from './http-call.ts'
import { RetryBudget } from './retry-budget.ts'
import type { HedgeSettings, RetrySettings } from './settings.ts'
import { ToolHints } from './tool-hints.ts'
import type { UpstreamRequest, UpstreamSink } from './upstream.ts'

/** Most tries of one request, however many replicas there are. */
export const MAX_TRIES = 3

/** Answers of a gateway before the server or of a server that is going away; another replica may do better. */
const ELSEWHERE = new Set([502, 503, 504])

/**
 * What may be tried again. A request of which nothing was sent may, always. One that may have been processed may where
 * that is harmless, and while the budget of the server lasts.
 */
export class RetryRules {
  private readonly budget: RetryBudget | null
  private readonly named: GlobList | null
  private readonly hedged: GlobList | null
  private readonly hedges: boolean
  /** `null` = nobody wants to know. */
  private readonly hints: ToolHints | null

  constructor(retry: RetrySettings | null, hedge: HedgeSettings | null) {
    this.budget = retry === null ? null : new RetryBudget(retry.budget)
    this.named = retry === null || retry.tools.length === 0 ? null : new GlobList(retry.tools)
    this.hedges = hedge !== null
    this.hints = retry === null && hedge === null ? null : new ToolHints()
    this.hedged = hedge === null || hedge.tools.length === 0 ? null : new GlobList(hedge.tools)
  }

  /** A request came. */
  earn(): void {
    if (this.budget !== null) this.budget.earn()
  }

  /** The sink to use for a request: what the server tells about its tools is remembered. */
  listen(request: UpstreamRequest, sink: UpstreamSink): UpstreamSink {
    return this.hints === null ? sink : this.hints.listen(request, sink)
  }

  /** Whether a call that was sent may be sent once more; the budget is spent then. */
  mayRepeat(call: HttpCall): boolean {
    const { budget } = this
    if (budget === null || call.headSeen || call.tries >= MAX_TRIES) return false
    return this.isHarmless(call.request) && budget.spend()
  }

  /** Whether an answer with this status is worth another replica's. */
  isElsewhere(status: number): boolean {
    return ELSEWHERE.has(status)
  }

  /** Whether two of this request at the same time are harmless, and wanted. */
  mayHedge(request: UpstreamRequest): boolean {
    if (!this.hedges || request.lane !== 'call' || request.replica !== '') return false
    return request.reads || isNamed(this.hedged, request.tool) || this.hints?.onlyReads(request.tool) === true
  }

  /** The second one counts as a retry. */
  spend(): boolean {
    return this.budget === null || this.budget.spend()
  }

  private isHarmless(request: UpstreamRequest): boolean {
    return request.repeatable || isNamed(this.named, request.tool) || this.hints?.mayRepeat(request.tool) === true
  }
}

function isNamed(globs: GlobList | null, tool: string): boolean {
  return globs !== null && tool !== '' && globs.fits(tool)
}
