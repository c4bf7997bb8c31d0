/** One regular file of an archive. */
export interface TarFile {
  /** At most 100 bytes. */
  readonly name: string
  readonly data: Uint8Array
  readonly mode: number
  readonly uid: number
  readonly gid: number
}

const BLOCK = 512

/** The end of an archive: two empty blocks (POSIX.1-1988, ustar). */
export const TAR_END = Buffer.alloc(2 * BLOCK)

/** Header and padded content of one file, in the ustar format. @throws RangeError when its name is too long */
export function tarEntry(file: TarFile): Buffer {
  const padding = (BLOCK - (file.data.byteLength % BLOCK)) % BLOCK
  return Buffer.concat([tarHeader(file), file.data, Buffer.alloc(padding)])
}

function tarHeader(file: TarFile): Buffer {
  if (Buffer.byteLength(file.name) > 100) throw new RangeError(`a name of more than 100 bytes: ${file.name}`)
  const header = Buffer.alloc(BLOCK)
  header.write(file.name, 0)
  header.write(octal(file.mode, 8), 100)
  header.write(octal(file.uid, 8), 108)
  header.write(octal(file.gid, 8), 116)
  header.write(octal(file.data.byteLength, 12), 124)
  header.write(octal(0, 12), 136)
  header.write('        ', 148)
  header.write('0', 156)
  header.write('ustar\x0000', 257)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return header
}

function octal(value: number, width: number): string {
  return `${value.toString(8).padStart(width - 1, '0')}\0`
}
