import { availableParallelism } from 'node:os'
import { InvalidArgumentError } from 'commander'
import { type HostPort, parseHostPort } from '../base/host-port.ts'
import { LOG_LEVELS, type LogLevel } from './log-level.ts'

/** Values of options that the parser cannot check by itself. Each throws what makes commander name the option. */

export function hostPort(text: string): HostPort {
  const place = parseHostPort(text)
  if (place === null) throw new InvalidArgumentError('Expected HOST:PORT, [IPV6]:PORT or PORT, like 127.0.0.1:8080.')
  return place
}

/** `off` = no admin listener. A word and not `null`, which the parser takes for "no value given". */
export function hostPortOrOff(text: string): HostPort | 'off' {
  return text === 'off' ? 'off' : hostPort(text)
}

export function workers(text: string): number {
  if (text === 'auto') return availableParallelism()
  const number = Number(text)
  if (!/^\d{1,4}$/.test(text) || number < 1 || number > 1024) {
    throw new InvalidArgumentError('Expected a number from 1 to 1024, or auto.')
  }
  return number
}

export function logLevel(text: string): LogLevel {
  const level = LOG_LEVELS.find(name => name === text.toLowerCase())
  if (level === undefined) throw new InvalidArgumentError(`Expected one of ${LOG_LEVELS.join(', ')}.`)
  return level
}

const SERVER_NAME = /^[a-z0-9][a-z0-9._-]*$/

export function serverName(text: string): string {
  if (!SERVER_NAME.test(text)) throw new InvalidArgumentError('Expected a name of a-z, 0-9 and . _ -, like "github".')
  return text
}

export function percent(text: string): number {
  const number = Number(text)
  if (text.trim() === '' || !(number >= 0 && number <= 100)) {
    throw new InvalidArgumentError('Expected a number from 0 to 100.')
  }
  return number
}

/** For options that may be given more than once. */
export function collect(text: string, before: readonly string[]): string[] {
  return [...before, text]
}
