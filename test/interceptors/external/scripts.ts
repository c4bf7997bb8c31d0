import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Probe, type ProbeOptions, probe } from '#testing'
import external from '../../../interceptors/external/external.ts'
import { type Scope, until } from '../../helpers/scope.ts'

/** A folder of scripts; gone with `scope`. */
export class Scripts {
  readonly dir: string

  constructor(scope: Scope) {
    this.dir = mkdtempSync(join(tmpdir(), 'sluice-external-'))
    scope.after(() => rmSync(this.dir, { recursive: true, force: true }))
  }

  /** Writes a module and gives the words that run it. */
  node(source: string): string[] {
    const file = join(this.dir, `script-${Math.random().toString(36).slice(2)}.mjs`)
    writeFileSync(file, source)
    return [process.execPath, file]
  }

  /**
   * A process that answers line by line: `answer(message)` gives the members of its answer, or `undefined` for none at all.
   * @param source code in which `answer` is defined; it may use `say(text)`, `last` and everything of Node
   */
  lines(source: string): string[] {
    return this.node(`
      import { appendFileSync, writeFileSync } from 'node:fs'
      import { spawn } from 'node:child_process'
      let rest = ''
      const say = text => process.stdout.write(text)
      ${source}
      process.stdin.setEncoding('utf8').on('data', text => {
        rest += text
        const lines = rest.split('\\n')
        rest = lines.pop()
        for (const line of lines) take(JSON.parse(line))
      })
      async function take(message) {
        const given = await answer(message)
        if (given !== undefined) say(JSON.stringify({ id: message.id, ...given }) + '\\n')
      }
    `)
  }

  path(name: string): string {
    return join(this.dir, name)
  }

  read(name: string): string {
    return existsSync(this.path(name)) ? readFileSync(this.path(name), 'utf8') : ''
  }
}

/** The interceptor under test; its processes end with `scope`. */
export async function start(scope: Scope, options: object, more: Omit<ProbeOptions, 'options'> = {}): Promise<Probe> {
  const made = await probe(external, { failures: 'verdict', ...more, options })
  scope.after(() => made.close())
  return made
}

/** Whether a process is there. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    // A zombie in a machine without an init that collects it is as good as gone.
    return !/^State:\s*Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

export function untilDead(pid: number): Promise<void> {
  return until(() => !isAlive(pid), `the end of process ${pid}`)
}

export const CALL = { method: 'tools/call', params: { name: 'search', arguments: { query: 'x' } } }
export const OK = { result: { content: [{ type: 'text', text: 'fine' }] } }
