/**
 * Writes a message with two ranges replaced by other JSON text, all other bytes as they were: 64-bit integers, `1.0`,
 * escapes and key order survive. The ranges must not overlap; `firstStart` -1 = none, likewise the second.
 * @param room bytes to leave free behind it
 */
export function patched(
  source: Buffer,
  firstStart: number,
  firstEnd: number,
  firstText: string,
  secondStart: number,
  secondEnd: number,
  secondText: string,
  room: number,
): Buffer {
  if (secondStart >= 0 && (firstStart < 0 || secondStart < firstStart)) {
    return patched(source, secondStart, secondEnd, secondText, firstStart, firstEnd, firstText, room)
  }
  const firstBytes = firstStart < 0 ? 0 : Buffer.byteLength(firstText)
  const secondBytes = secondStart < 0 ? 0 : Buffer.byteLength(secondText)
  const gone = (firstStart < 0 ? 0 : firstEnd - firstStart) + (secondStart < 0 ? 0 : secondEnd - secondStart)
  const target = Buffer.allocUnsafe(source.length - gone + firstBytes + secondBytes + room)
  let from = 0
  let at = 0
  if (firstStart >= 0) {
    at = source.copy(target, 0, 0, firstStart)
    at += target.write(firstText, at)
    from = firstEnd
  }
  if (secondStart >= 0) {
    at += source.copy(target, at, from, secondStart)
    at += target.write(secondText, at)
    from = secondEnd
  }
  source.copy(target, at, from, source.length)
  return target
}

const LF = 0x0a
const CR = 0x0d
const SPACE = 0x20

/**
 * Makes valid JSON one line by writing over it: outside of strings a line break is white space, and inside of them it
 * cannot occur.
 */
export function flatten(json: Buffer): void {
  replaceAll(json, LF)
  replaceAll(json, CR)
}

function replaceAll(bytes: Buffer, code: number): void {
  for (let at = bytes.indexOf(code); at >= 0; at = bytes.indexOf(code, at + 1)) bytes[at] = SPACE
}

/** One message as a line for a server's standard input. */
export function asLine(json: Buffer): Buffer {
  const line = patched(json, -1, -1, '', -1, -1, '', 1)
  return endLine(line)
}

/** Flattens a message that has one byte of room at its end, and ends the line there. */
export function endLine(line: Buffer): Buffer {
  line[line.length - 1] = SPACE
  flatten(line)
  line[line.length - 1] = LF
  return line
}
