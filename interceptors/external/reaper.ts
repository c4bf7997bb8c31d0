import { type ChildProcess, spawn } from 'node:child_process'
import type { Socket } from 'node:net'

/**
 * Reads what lives (`g PID`, a process group; `c NAME`, a container) and what has ended (`G PID`, `C NAME`). At the end of
 * its input, when this process is gone however that came, it ends what still lives.
 */
const SCRIPT = `
trap '' INT TERM HUP
live=
without() { kept=; for one in $live; do [ "$one" = "$1" ] || kept="$kept $one"; done; live=$kept; }
while read -r op name; do
  case $op in
    g|c) live="$live $op:$name" ;;
    G) without "g:$name" ;;
    C) without "c:$name" ;;
  esac
done
for one in $live; do
  case $one in
    g:*) kill -9 "-\${one#g:}" 2>/dev/null ;;
    c:*) docker kill "\${one#c:}" >/dev/null 2>&1 & ;;
  esac
done
wait
`

/**
 * Makes sure that nothing that was started outlives this process, not even when that is killed: a small shell of its own
 * waits for its end. One for all, from the first start on.
 */
class Reaper {
  readonly #live = new Set<string>()
  #child: ChildProcess | null = null

  /** To be called before anything is started: so that it is watched from its first moment on. */
  prepare(): void {
    if (this.#child === null) this.#start()
  }

  /** @param kind `g` = a process group by its number, `c` = a container by its name */
  watch(kind: 'g' | 'c', name: string): void {
    this.#live.add(`${kind} ${name}`)
    this.#say(`${kind} ${name}`)
  }

  /** It has ended by itself. */
  forget(kind: 'g' | 'c', name: string): void {
    if (this.#live.delete(`${kind} ${name}`)) this.#say(`${kind.toUpperCase()} ${name}`)
  }

  #start(): void {
    const child = spawn('/bin/sh', ['-c', SCRIPT, 'sluice-external'], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
      env: pathOnly(),
    })
    this.#child = child
    child.once('error', () => this.#lost(child))
    child.once('exit', () => this.#lost(child))
    child.stdin?.on('error', () => this.#lost(child))
    child.unref()
    ;(child.stdin as unknown as Socket | null)?.unref?.()
    for (const one of this.#live) this.#say(one)
  }

  /** Without a shell on this machine there is nobody to watch; what reads its input still sees that it ends. */
  #lost(child: ChildProcess): void {
    if (this.#child === child) this.#child = null
  }

  #say(line: string): void {
    this.#child?.stdin?.write(`${line}\n`)
  }
}

function pathOnly(): NodeJS.ProcessEnv {
  const { PATH, HOME, DOCKER_HOST } = process.env
  return Object.fromEntries(Object.entries({ PATH, HOME, DOCKER_HOST }).filter(([, value]) => value !== undefined))
}

export const reaper = new Reaper()
