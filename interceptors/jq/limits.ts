import type { SpawnOptions } from 'node:child_process'

/** Processor time after which the system ends a process: the last resort when nobody is left to end it. In seconds. */
export const MAX_CPU_S = 120

/** What a jq process may have. */
export interface Limits {
  readonly maxMemoryBytes: number
}

/** How to start jq: the command, its arguments, and a place without environment or files. */
export interface Command {
  readonly file: string
  readonly args: string[]
  readonly options: SpawnOptions
}

/**
 * jq under limits that the shell sets before it becomes jq: address space, processor time, no core dump (it would hold
 * messages), no files. The environment is empty but for `HOME`, because without one jq asks the system for it and
 * reads `~/.jq`.
 */
export function limitedCommand(binary: string, args: readonly string[], { maxMemoryBytes }: Limits): Command {
  const memory = `ulimit -v ${Math.floor(maxMemoryBytes / 1024)}`
  // macOS has no limit of the address space: there, `max_output`, `max_bytes` and the deadline are what bounds a filter.
  const limits = [
    process.platform === 'linux' ? memory : `{ ${memory} || :; }`,
    `ulimit -t ${MAX_CPU_S}`,
    'ulimit -c 0',
  ]
  const script = `{ ${limits.join(' && ')}; } 2>/dev/null || exit 126; unset PWD OLDPWD; exec "$0" "$@"`
  return {
    file: '/bin/sh',
    args: ['-c', script, binary, ...args],
    options: { cwd: '/', env: { HOME: '/nonexistent' } },
  }
}
