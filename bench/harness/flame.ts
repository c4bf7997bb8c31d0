/** A call tree: what ran, and how much of what was counted it took, with all that it called. */
export interface Frame {
  readonly name: string
  /** File and line; `''` = none. */
  readonly place: string
  /** With all that it called. */
  total: number
  readonly children: Map<string, Frame>
}

interface CallFrame {
  readonly functionName: string
  readonly url: string
  readonly lineNumber: number
}

/** What `--cpu-prof` writes. */
export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: CallFrame
    readonly children?: readonly number[]
  }[]
  readonly samples: readonly number[]
  /** Microseconds since the sample before. */
  readonly timeDeltas: readonly number[]
}

/** What `--heap-prof` writes. */
export interface HeapProfile {
  readonly head: HeapNode
}

interface HeapNode {
  readonly callFrame: CallFrame
  readonly selfSize: number
  readonly children: readonly HeapNode[]
}

/** Microseconds on the processor, by call; idle time is left out. */
export function cpuTree(profile: CpuProfile): Frame {
  const own = new Map<number, number>()
  profile.samples.forEach((id, index) => {
    own.set(id, (own.get(id) ?? 0) + (profile.timeDeltas[index] ?? 0))
  })
  const nodes = new Map(profile.nodes.map(node => [node.id, node]))
  const root = frame('all', '')
  const add = (id: number, parent: Frame): number => {
    const node = nodes.get(id)
    if (node === undefined || node.callFrame.functionName === '(idle)') return 0
    const found = node.callFrame.functionName === '(root)' ? parent : child(parent, node.callFrame)
    const below = (node.children ?? []).reduce((sum, one) => sum + add(one, found), 0)
    const total = below + (own.get(id) ?? 0)
    found.total += found === parent ? 0 : total
    return total
  }
  root.total = add(profile.nodes[0]?.id ?? 0, root)
  return root
}

/** Bytes that were allocated and still alive when the profile ended, by call: a sample of them, scaled up. */
export function heapTree(profile: HeapProfile): Frame {
  const root = frame('all', '')
  const add = (node: HeapNode, parent: Frame): number => {
    const found = node.callFrame.functionName === '(root)' ? parent : child(parent, node.callFrame)
    const below = node.children.reduce((sum, one) => sum + add(one, found), 0)
    const total = below + node.selfSize
    found.total += found === parent ? 0 : total
    return total
  }
  root.total = add(profile.head, root)
  return root
}

function frame(name: string, place: string): Frame {
  return { name, place, total: 0, children: new Map() }
}

/** The same function called from the same place is one frame. */
function child(parent: Frame, { functionName, url, lineNumber }: CallFrame): Frame {
  const place = url === '' ? '' : `${shortened(url)}:${lineNumber + 1}`
  const key = `${functionName} ${place}`
  const known = parent.children.get(key)
  if (known !== undefined) return known
  const made = frame(functionName || '(anonymous)', place)
  parent.children.set(key, made)
  return made
}

/** From the package or the project on: nothing of the machine. */
function shortened(url: string): string {
  const inPackage = url.lastIndexOf('/node_modules/')
  if (inPackage !== -1) return url.slice(inPackage + '/node_modules/'.length)
  const own = /\/((?:proxy|interceptors|bench|dist)\/.*)$/.exec(url)
  return own?.[1] ?? url.replace(/^file:\/\/.*\//, '')
}

/** The functions that took most by themselves, wherever they were called from. */
export function topFrames(root: Frame, count: number): { readonly name: string; readonly own: number }[] {
  const own = new Map<string, number>()
  const walk = (one: Frame): void => {
    let rest = one.total
    for (const below of one.children.values()) {
      rest -= below.total
      walk(below)
    }
    const name = one.place === '' ? one.name : `${one.name} ${one.place}`
    own.set(name, (own.get(name) ?? 0) + rest)
  }
  walk(root)
  const sorted = [...own].toSorted((a, b) => b[1] - a[1]).slice(0, count)
  return sorted.map(([name, value]) => ({ name, own: value }))
}
