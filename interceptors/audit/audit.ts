import { defineInterceptor, type Environment, type Exchange, type Hooks, type Message, type Outcome, z } from '#api'
import { auditLine } from './line.ts'
import { LineFile } from './line-file.ts'
import { sanitise } from './sanitise.ts'

/** Arguments whose text is longer are written as their size. */
const MAX_PARAMS_BYTES = 16 * 1024

const options = z.strictObject({
  path: z
    .string()
    .min(1)
    .default('stdout')
    .describe('File to append to, relative to the folder of the policy; or `stdout`, `stderr`.'),
  include: z
    .array(z.enum(['arguments']))
    .default([])
    .describe('`arguments`: write the arguments of tools/call and prompts/get, without secrets.'),
  max_buffer_bytes: z
    .int()
    .min(1024 * 1024)
    .max(1024 * 1024 * 1024)
    .default(16 * 1024 * 1024)
    .describe('Bytes of lines that may wait in memory for a slow or full disk.'),
  on_full: z
    .enum(['drop', 'block'])
    .default('drop')
    .describe('Beyond that: `drop` = lose lines and say how many; `block` = stop the process until they are written.'),
})

type Options = z.infer<typeof options>

/** What the request hook found; `''` until then, and where nothing is to be written. */
interface State {
  params: string
}

/**
 * One JSON line for each exchange when it ends (R100, R101, R102). Nothing is looked at unless `include` has `arguments`:
 * a chain of only `audit` passes bytes through.
 */
export default defineInterceptor<Options, State>({
  name: 'audit',
  summary: 'Writes one JSON line for each exchange: who called what, how it ended, how long it took.',
  options,
  looks: {
    request: { need: 'json', directions: ['toServer'], methods: ['tools/call', 'prompts/get'], tooBig: 'skip' },
  },
  onFailure: 'open',
  create: (checked, environment) => createHooks(checked, openFile(checked, environment)),
})

/** Where lines go. */
type Lines = Pick<LineFile, 'write' | 'close'>

function createHooks(checked: Options, file: Lines): Hooks<State> {
  const end = (exchange: Exchange, outcome: Outcome, state: State | undefined): void =>
    file.write(auditLine(exchange, outcome, state?.params ?? ''))
  const close = (): Promise<void> => file.close()
  if (!checked.include.includes('arguments')) return { end, close }
  return { state: () => ({ params: '' }), request: recordArguments, end, close }
}

function recordArguments(message: Message, _exchange: Exchange, state: State): undefined {
  if (message.method !== 'tools/call' && message.method !== 'prompts/get') return
  const params = message.json().params
  if (typeof params !== 'object' || params === null || Array.isArray(params)) return
  state.params = sanitise(params.arguments ?? {}, MAX_PARAMS_BYTES)
}

function openFile(checked: Options, environment: Environment): Lines {
  const { rehearsal } = environment
  if (rehearsal !== null) return { write: line => rehearsal.record(line), close: () => Promise.resolve() }
  return new LineFile({
    target: targetOf(checked.path, environment),
    maxBytes: checked.max_buffer_bytes,
    onFull: checked.on_full,
    lostLine: lines =>
      `{"timestamp":"${new Date(environment.clock.now()).toISOString()}","event":"audit_lines_lost","lost":${lines}}\n`,
    onTrouble: (text, error) => environment.logger.error({ path: checked.path, error }, text),
  })
}

function targetOf(path: string, environment: Environment): string | number {
  if (path === 'stdout') return 1
  return path === 'stderr' ? 2 : environment.resolve(path)
}
