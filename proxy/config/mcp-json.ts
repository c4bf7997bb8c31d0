import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, resolve } from 'node:path'
import { parseEnv } from 'node:util'
import { z } from 'zod'
import { type Diagnostic, LoadError } from '../base/diagnostic.ts'
import { parseYaml, readText } from '../base/read-yaml.ts'
import { validate } from '../base/validate.ts'
import type { YamlSource } from '../base/yaml-source.ts'
import { jsoncToYaml } from './jsonc-to-yaml.ts'

/** A server as a client's file describes it, in the words of `servers:` in `sluice.yaml`. */
export type ImportedServer =
  | { command: string[]; cwd?: string; env?: Record<string, string> }
  | { url: string; headers?: Record<string, string> }

export interface Imported {
  /** By name; names are made fit for addresses: `My GitHub` becomes `my-github`. */
  readonly servers: Readonly<Record<string, ImportedServer>>
  readonly warnings: readonly Diagnostic[]
  readonly source: YamlSource
}

/** Clients keep settings of their own beside these keys: what is unknown is theirs. */
const entry = z.looseObject({
  type: z.string().optional(),
  transport: z.string().optional(),
  command: z.string().min(1).optional(),
  args: z.array(z.string()).optional(),
  env: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])).optional(),
  envFile: z.string().min(1).optional(),
  cwd: z.string().min(1).optional(),
  url: z.string().optional(),
  serverUrl: z.string().optional(),
  headers: z.record(z.string(), z.string()).optional(),
  disabled: z.boolean().optional(),
})

type Entry = z.infer<typeof entry>

/** Where clients keep the list: Claude and Cursor, VS Code, VS Code's settings. */
const PLACES = [['mcpServers'], ['servers'], ['mcp', 'servers']] as const

const STREAMABLE = new Set(['http', 'streamable-http', 'streamableHttp', 'streamable_http'])

/**
 * Reads the list of servers that Claude Desktop, Claude Code, Cursor, VS Code and others keep: comments and trailing
 * commas are allowed. `${NAME}`, `${NAME:-default}` and `${env:NAME}` are variables of the environment; so is
 * `${input:some-name}`, which VS Code would ask for: it is SOME_NAME.
 * @throws LoadError with every problem found; values are never named
 */
export function readMcpJson(file: string, env: NodeJS.ProcessEnv): Imported {
  const text = readText(file)
  if (typeof text !== 'string') throw new LoadError([text])
  const folder = dirname(resolve(file))
  const places = { userHome: homedir(), workspaceFolder: folder, pathSeparator: '/' }
  const source = parseYaml(jsoncToYaml(text, variableOf), file, { ...env, ...places })
  if (source.diagnostics.length > 0) throw new LoadError(source.diagnostics)
  return new Importer(source, folder).run()
}

/** `env:NAME` -> `NAME`, `input:api-key` -> `API_KEY`. */
function variableOf(inside: string): string | null {
  if (inside.startsWith('env:')) return inside.slice('env:'.length)
  if (inside.startsWith('input:')) return variableName(inside.slice('input:'.length))
  return inside === '/' ? 'pathSeparator' : null
}

function variableName(id: string): string {
  return id.toUpperCase().replace(/[^A-Z0-9_]/g, '_')
}

class Importer {
  readonly #source: YamlSource
  readonly #folder: string
  readonly #errors: Diagnostic[] = []
  readonly #warnings: Diagnostic[] = []
  readonly #servers: Record<string, ImportedServer> = {}

  constructor(source: YamlSource, folder: string) {
    this.#source = source
    this.#folder = folder
  }

  run(): Imported {
    const place = PLACES.find(path => isObject(this.#source.get(path)))
    if (place === undefined) {
      const text = 'no list of servers: expected "mcpServers" (Claude, Cursor) or "servers" (VS Code)'
      throw new LoadError([this.#source.diagnostic([], text)])
    }
    for (const name of Object.keys(this.#source.get(place) as object)) this.#add(name, [...place, name])
    if (this.#errors.length > 0) throw new LoadError(this.#errors)
    return { servers: this.#servers, warnings: this.#warnings, source: this.#source }
  }

  #add(name: string, path: readonly string[]): void {
    const { value, diagnostics } = validate<Entry>(this.#source.sub(path), entry)
    this.#errors.push(...diagnostics)
    if (value === null) return
    if (value.disabled === true) {
      this.#warnings.push(this.#at(path, 'disabled: left out', 'warning'))
      return
    }
    const slug = slugOf(name)
    if (slug === '') this.#errors.push(this.#at(path, 'expected a name with at least one letter or digit'))
    else if (Object.hasOwn(this.#servers, slug)) {
      this.#errors.push(this.#at(path, `the name becomes "${slug}", which is there already: rename one of the two`))
    } else {
      const server = this.#translate(value, path)
      if (server !== null) this.#servers[slug] = server
    }
  }

  #translate(value: Entry, path: readonly string[]): ImportedServer | null {
    const url = value.url ?? value.serverUrl
    if (value.command !== undefined && url === undefined) return this.#child(value, value.command, path)
    if (value.command === undefined && url !== undefined) return this.#remote(value, url, path)
    this.#errors.push(this.#at(path, 'expected either "command" or "url"'))
    return null
  }

  #child(value: Entry, command: string, path: readonly string[]): ImportedServer {
    const env = { ...this.#envFile(value, path), ...textsOf(value.env ?? {}) }
    return {
      command: [command, ...(value.args ?? [])],
      ...(value.cwd !== undefined && { cwd: resolve(this.#folder, value.cwd) }),
      ...(Object.keys(env).length > 0 && { env }),
    }
  }

  #remote(value: Entry, url: string, path: readonly string[]): ImportedServer | null {
    const kind = value.type ?? value.transport ?? 'http'
    if (!STREAMABLE.has(kind)) {
      const text = `transport "${kind}": expected Streamable HTTP ("http"); ask the server's makers for that endpoint`
      this.#errors.push(this.#at([...path, value.type === undefined ? 'transport' : 'type'], text))
      return null
    }
    return { url, ...(value.headers !== undefined && { headers: value.headers }) }
  }

  #envFile(value: Entry, path: readonly string[]): Record<string, string> {
    if (value.envFile === undefined) return {}
    try {
      return textsOf(parseEnv(readFileSync(resolve(this.#folder, value.envFile), 'utf8')))
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? 'unknown error'
      this.#errors.push(this.#at([...path, 'envFile'], `"${value.envFile}" cannot be read: ${code}`))
      return {}
    }
  }

  #at(path: readonly string[], text: string, severity: Diagnostic['severity'] = 'error'): Diagnostic {
    return this.#source.diagnostic(path, text, { at: 'key', severity })
  }
}

function textsOf(values: Readonly<Record<string, unknown>>): Record<string, string> {
  const given = Object.entries(values).filter(([, value]) => value !== null && value !== undefined)
  return Object.fromEntries(given.map(([name, value]) => [name, String(value)]))
}

/** A name that can stand in an address: `My GitHub (work)` -> `my-github-work`. */
function slugOf(name: string): string {
  return name
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[^a-z0-9]+|-+$/g, '')
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
