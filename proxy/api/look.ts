import type { Direction } from './message.ts'

/** How much of a message a hook reads. Each one includes those before it. */
export type Need = 'envelope' | 'bytes' | 'json'

/**
 * How closely a hook looks. The proxy scans, buffers and parses only for the closest look of a plan; where nobody
 * looks, bytes are piped.
 */
export interface Look {
  /** `envelope`: kind, method, name, id, size. `bytes`: and `bytes()`. `json`: and `json()`. */
  readonly need: Need
  /** Whether the hook may call `edit()` or `replace()`. Default false. */
  readonly edits?: boolean
  /** Which way the message must travel for the hook to see it. Default: both. */
  readonly directions?: readonly Direction[]
  /**
   * The methods whose messages the hook sees, as globs; for a response: the method it answers. Default: all. Other
   * messages cost nothing: they are neither held nor parsed for this hook.
   */
  readonly methods?: readonly string[]
  /**
   * Those of its methods, as globs, whose messages the hook sees even where the entry's `match.method` or `match.name` says
   * otherwise (server and client must fit all the same). Whoever changes what a tool gives must also change what
   * `tools/list` says of that tool; `environment.applies` then tells which tools are meant. Default: none.
   */
  readonly always?: readonly string[]
  /** The largest message the hook looks at, in bytes. Default 4 MiB; for `envelope`: any size. */
  readonly maxBytes?: number
  /**
   * What happens to a larger one: `skip` = it passes unseen, `deny` = it is refused. Default: `deny` where the
   * entry's `on_failure` is `closed`, else `skip`.
   */
  readonly tooBig?: 'skip' | 'deny'
}
