import { hash } from 'node:crypto'
import { readFileSync, watch } from 'node:fs'
import type { Server } from 'node:https'
import { basename, dirname } from 'node:path'
import { tls } from '../base/node-modules.ts'
import { channels } from '../observe/channels.ts'

/** PEM files. */
export interface TlsFiles {
  readonly certFile: string
  readonly keyFile: string
}

/** Certificate and key are two files: wait until both are written. */
const SETTLE_MS = 200

/**
 * Keeps a server's certificate as its files say. The folders are watched, not the files, because tools replace files
 * by renaming and orchestrators by swapping a symbolic link. New connections get the new pair, running ones keep
 * theirs; a pair that does not fit changes nothing. Both outcomes are published on `channels.reload`.
 */
export function watchTls(server: Server, files: TlsFiles): { reload(): void; close(): void } {
  let timer: NodeJS.Timeout | null = null
  let generation = 1
  let last = contentOf(files)
  const reload = (): void => {
    const text = replaceContext(server, files)
    if (text === '') generation++
    channels.reload.publish({ what: 'tls', ok: text === '', generation, text })
  }
  const settled = (): void => {
    timer = null
    const now = contentOf(files)
    if (now === last) return
    last = now
    reload()
  }
  const onChange = (): void => {
    timer ??= setTimeout(settled, SETTLE_MS).unref()
  }
  const watchers = foldersOf(files).map(folder =>
    watch(folder, { persistent: false }, onChange).on('error', onWatchError),
  )
  return {
    reload,
    close() {
      if (timer !== null) clearTimeout(timer)
      for (const watcher of watchers) watcher.close()
    },
  }
}

function replaceContext(server: Server, files: TlsFiles): string {
  try {
    const pair = {
      cert: readFileSync(files.certFile),
      key: readFileSync(files.keyFile),
      minVersion: 'TLSv1.2' as const,
    }
    tls().createSecureContext(pair) // throws when they do not fit; `setSecureContext` would leave the server half changed
    server.setSecureContext(pair)
    return ''
  } catch (error) {
    const names = `${basename(files.certFile)} and ${basename(files.keyFile)}`
    return `tls: ${names} cannot be used, the old certificate stays: ${(error as Error).message}`
  }
}

/** A digest of both files, to tell a change from a mere touch; `''` while one of them is away. */
function contentOf(files: TlsFiles): string {
  try {
    return hash('sha256', Buffer.concat([readFileSync(files.certFile), readFileSync(files.keyFile)]))
  } catch {
    return '' // in the middle of a replacement; the event that ends it comes
  }
}

function foldersOf(files: TlsFiles): string[] {
  return [...new Set([dirname(files.certFile), dirname(files.keyFile)])]
}

function onWatchError(error: Error): void {
  channels.notice.publish({
    level: 'warn',
    text: 'tls: the certificate folder is no longer watched; SIGHUP still reloads it',
    fields: { error: error.message },
  })
}
