/** What one look of `sluice doctor` found. */
export interface Finding {
  /** What was looked at: `redis`, `certificate`, `port 8080`. */
  readonly what: string
  /** `problem` = it will not work; `warning` = it will not work for long, or not safely. */
  readonly status: 'ok' | 'warning' | 'problem'
  readonly text: string
  /** What to do; `''` where there is nothing to do. */
  readonly advice: string
}

export function ok(what: string, text: string): Finding {
  return { what, status: 'ok', text, advice: '' }
}

export function warning(what: string, text: string, advice: string): Finding {
  return { what, status: 'warning', text, advice }
}

export function problem(what: string, text: string, advice: string): Finding {
  return { what, status: 'problem', text, advice }
}

/** The text of an error without what may hold a secret: its code, or its first line where there is none. */
export function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException
  return code ?? String(message).split('\n')[0] ?? 'unknown error'
}
