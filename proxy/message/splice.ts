import type { Json, JsonObject } from '../api/index.ts'
import { release, skipSpace } from './grammar.ts'
import { isAbsent, isPlainObject, presentKeys, sameJson } from './json-equal.ts'
import { type Container, containerAt, type Part, valueEndAt } from './json-ranges.ts'
import { jsonText } from './json-text.ts'
import { matchElements } from './match-elements.ts'

/**
 * Writes an edited message: what did not change keeps its source text, byte for byte: white space, escapes, key order,
 * digits that a double cannot hold.
 *
 * Members keep their place, new ones go to the end in the style of the last one. An element of an array keeps its text
 * wherever it moves to, and one that was changed is patched. A member that comes twice in the source and is changed or
 * removed loses all but its last copy, which is the one `JSON.parse` shows; unchanged, it keeps them all.
 * @param source valid UTF-8 JSON
 * @param before `JSON.parse` of it
 * @param after what became of a copy of `before`; anything that `JSON.stringify` takes, with its rules for `undefined`
 * @returns `source` itself when nothing changed
 */
export function splice(source: Buffer, before: Json, after: Json): Buffer {
  const writer = new Writer(source)
  const start = skipSpace(source, 0, source.length)
  const end = valueEndAt(source, start)
  writer.copy(0, start)
  writer.value(start, end, before, after)
  writer.copy(end, source.length)
  release()
  return writer.finish()
}

/** Collects the new text: runs of the source, and text of its own between them. */
class Writer {
  private readonly source: Buffer
  private readonly parts: Buffer[]
  private runStart: number
  private runEnd: number

  constructor(source: Buffer) {
    this.source = source
    this.parts = []
    this.runStart = 0
    this.runEnd = 0
  }

  copy(start: number, end: number): void {
    if (start === end) return
    if (start !== this.runEnd) {
      this.flush()
      this.runStart = start
    }
    this.runEnd = end
  }

  text(text: string): void {
    if (text === '') return
    this.flush()
    this.parts.push(Buffer.from(text))
    this.runStart = -1
    this.runEnd = -1
  }

  finish(): Buffer {
    if (this.parts.length === 0 && this.runStart === 0 && this.runEnd === this.source.length) return this.source
    this.flush()
    return Buffer.concat(this.parts)
  }

  private flush(): void {
    if (this.runEnd > this.runStart) this.parts.push(this.source.subarray(this.runStart, this.runEnd))
  }

  /** One value, from its range in the source and what became of it. */
  value(start: number, end: number, before: Json, after: unknown): void {
    if (sameJson(before, after)) this.copy(start, end)
    else if (Array.isArray(before) && Array.isArray(after)) this.array(containerAt(this.source, start), before, after)
    else if (isPlainObject(before) && isPlainObject(after)) this.object(containerAt(this.source, start), before, after)
    else this.text(jsonText(after))
  }

  private object(container: Container, before: JsonObject, after: JsonObject): void {
    const last = lastByKey(container.parts)
    const kept = container.parts.filter(part => keeps(part, last, before, after))
    const added = presentKeys(after).filter(key => !last.has(key))
    const style = kept.at(-1) ?? container.parts[0]
    this.copy(container.open, container.open + 1)
    for (const [index, part] of kept.entries()) {
      this.copy(index === 0 ? part.comma + 1 : part.comma, part.valueStart)
      this.value(part.valueStart, part.valueEnd, before[part.key] as Json, after[part.key])
      if (index < kept.length - 1) this.copy(part.valueEnd, this.blankEnd(part.valueEnd))
    }
    for (const [index, key] of added.entries()) {
      if (kept.length + index > 0) this.text(',')
      if (style !== undefined) this.copy(style.comma + 1, style.start)
      this.text(JSON.stringify(key))
      if (style === undefined) this.text(':')
      else this.copy(keyEndOf(this.source, style), style.valueStart)
      this.addedValue(after[key], last, before, after)
    }
    this.close(container, kept.length + added.length)
  }

  /** A new member: where it only has a new key, the value of the old one keeps its text. */
  private addedValue(value: unknown, last: ReadonlyMap<string, Part>, before: JsonObject, after: JsonObject): void {
    for (const part of last.values()) {
      if (Object.hasOwn(after, part.key) || !sameJson(before[part.key], value)) continue
      return this.copy(part.valueStart, part.valueEnd)
    }
    this.text(jsonText(value))
  }

  private array(container: Container, before: readonly Json[], after: readonly unknown[]): void {
    const parts = container.parts
    const { equal, made } = matchElements(before, after)
    this.copy(container.open, container.open + 1)
    for (let k = 0; k < after.length; k++) {
      const origin = (equal[k] as number) >= 0 ? (equal[k] as number) : (made[k] as number)
      const part = parts[origin]
      this.lead(part ?? parts.at(-1), k === 0)
      if (part === undefined) this.text(jsonText(after[k]))
      else this.value(part.valueStart, part.valueEnd, before[origin] as Json, after[k])
      if (part !== undefined && k < after.length - 1) this.copy(part.valueEnd, this.blankEnd(part.valueEnd))
    }
    this.close(container, after.length)
  }

  /** Comma and white space before an element, as they stand before `part`. */
  private lead(part: Part | undefined, isFirst: boolean): void {
    if (part === undefined) this.text(isFirst ? '' : ',')
    else if (isFirst || this.source[part.comma] === 0x2c) this.copy(isFirst ? part.comma + 1 : part.comma, part.start)
    else {
      this.text(',')
      this.copy(part.comma + 1, part.start)
    }
  }

  /** White space and closing bracket, as they were; an emptied container closes at once. */
  private close(container: Container, count: number): void {
    const last = container.parts.at(-1)
    const from = last === undefined || count === 0 ? container.close : last.valueEnd
    this.copy(from, container.close + 1)
  }

  private blankEnd(at: number): number {
    return skipSpace(this.source, at, this.source.length)
  }
}

function lastByKey(parts: readonly Part[]): Map<string, Part> {
  const last = new Map<string, Part>()
  for (const part of parts) last.set(part.key, part)
  return last
}

function keeps(part: Part, last: ReadonlyMap<string, Part>, before: JsonObject, after: JsonObject): boolean {
  if (!Object.hasOwn(after, part.key) || isAbsent(after[part.key])) return false
  return last.get(part.key) === part || sameJson(before[part.key], after[part.key])
}

function keyEndOf(source: Buffer, part: Part): number {
  return valueEndAt(source, part.start)
}
