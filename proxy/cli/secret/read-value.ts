import type { ReadStream } from 'node:tty'
import { MAX_SECRET_BYTES } from '../../credentials/store/secret-store.ts'
import { UsageError } from '../usage-error.ts'

/** Standard input, be it a terminal, a pipe or a file. */
export type Input = NodeJS.ReadableStream & { readonly isTTY?: boolean; setRawMode?: ReadStream['setRawMode'] }

const CTRL_C = '\u0003'
const CTRL_D = '\u0004'
const CTRL_U = '\u0015'
const BACKSPACES = new Set(['\u007f', '\b'])

/**
 * Asks for a value at a terminal, without showing it; reads all of anything else.
 * @throws UsageError when it is too long, or whoever was asked gave up
 */
export function readValue(prompt: string, input: Input, output: NodeJS.WritableStream): Promise<Buffer> {
  return input.isTTY === true ? ask(prompt, input, output) : readAll(input)
}

async function readAll(input: Input): Promise<Buffer> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of input) {
    const part = Buffer.from(chunk)
    bytes += part.length
    if (bytes > MAX_SECRET_BYTES) throw new UsageError(`a secret has at most ${MAX_SECRET_BYTES} bytes`)
    chunks.push(part)
  }
  return Buffer.concat(chunks)
}

function ask(prompt: string, input: Input, output: NodeJS.WritableStream): Promise<Buffer> {
  output.write(prompt)
  input.setRawMode?.(true)
  input.setEncoding('utf8')
  return new Promise<Buffer>((resolve, reject) => {
    let typed: string[] = []
    const end = (): void => {
      input.off('data', take)
      input.setRawMode?.(false)
      input.pause()
      output.write('\n')
    }
    const take = (text: string | Buffer): void => {
      for (const letter of String(text)) {
        if (letter === '\r' || letter === '\n' || (letter === CTRL_D && typed.length > 0)) {
          end()
          resolve(Buffer.from(typed.join('')))
          return
        }
        if (letter === CTRL_C || letter === CTRL_D) {
          end()
          reject(new UsageError('nothing was set'))
          return
        }
        if (letter === CTRL_U) typed = []
        else if (BACKSPACES.has(letter)) typed.pop()
        else typed.push(letter)
      }
    }
    input.on('data', take)
    input.resume()
  })
}
