import { EventEmitter } from 'node:events'

interface WorldEvents {
  /** The optional tool was added or removed. */
  tools: []
  /** A resource has new contents: its URI. */
  updated: [uri: string]
}

/** What all sessions and requests of the demo server share. Everything lives in memory and is made up. */
export class World extends EventEmitter<WorldEvents> {
  /** Whether the tool `surprise` is there; `toggle_tool` flips it. */
  surprise = false
  counter = 0
  /** How the calls of `slow` ended: to see that a cancelled call really stops here. */
  readonly slow = { started: 0, finished: 0, cancelled: 0 }
  /** A pretend file system. Nothing is read from the disk. */
  readonly files = new Map<string, string>([
    ['/etc/passwd', 'root:x:0:0:pretend root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n'],
    ['/notes/welcome.md', '# Welcome\n\nThis file lives in the memory of the demo server.\n'],
    ['/notes/todo.md', '- put a proxy in front of the MCP server\n- read its audit log\n'],
  ])

  constructor() {
    super()
    this.setMaxListeners(0)
  }

  toggleSurprise(): boolean {
    this.surprise = !this.surprise
    this.emit('tools')
    return this.surprise
  }

  bump(): number {
    this.counter += 1
    this.emit('updated', COUNTER_URI)
    return this.counter
  }
}

export const COUNTER_URI = 'demo://counter'
