/** FNV-1a over UTF-16 units, 32 bits. Not for secrets: whoever picks the key picks the replica. */
export function keyHash(text: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash >>> 0
}

/** How much the replica with this seed wants the key with this hash; the one that wants it most gets it. */
export function scoreOf(hash: number, seed: number): number {
  let mixed = Math.imul(hash ^ seed, 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35)
  mixed ^= mixed >>> 16
  mixed = Math.imul(mixed ^ Math.imul(seed, 0x9e3779b1), 0x27d4eb2f)
  return (mixed ^ (mixed >>> 15)) >>> 0
}
