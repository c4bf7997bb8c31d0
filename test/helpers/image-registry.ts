import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import { TAR_END, tarEntry } from '../../proxy/fleet/docker/tar.ts'
import type { Scope } from './scope.ts'

const MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json'
const CONFIG = 'application/vnd.docker.container.image.v1+json'
const LAYER = 'application/vnd.docker.image.rootfs.diff.tar.gzip'

/** A registry of images (Docker Registry HTTP API V2, the half that pulls). Engines speak plain HTTP with 127.0.0.1. */
export interface ImageRegistry {
  /** `127.0.0.1:port` */
  readonly host: string
  /** Manifests that were asked for, in order. */
  readonly asked: readonly string[]
  /** Puts an image with one small file under a tag; each text makes another digest, which it returns. */
  push(tag: string, text: string): string
  /** From now on pulls need this login. */
  login(username: string, password: string): void
}

/** Starts a registry on a free port; it ends with `scope`. */
export async function startRegistry(scope: Scope): Promise<ImageRegistry> {
  const registry = new Registry()
  const server = createServer((request, response) => registry.answer(request, response))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  scope.after(() => {
    server.closeAllConnections()
    server.close()
  })
  registry.host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  return registry
}

class Registry implements ImageRegistry {
  host = ''
  readonly asked: string[] = []
  readonly #blobs = new Map<string, Buffer>()
  readonly #tags = new Map<string, string>()
  #login = ''

  push(tag: string, text: string): string {
    const layer = Buffer.concat([
      tarEntry({ name: 'text', data: Buffer.from(text), mode: 0o644, uid: 0, gid: 0 }),
      TAR_END,
    ])
    const packed = gzipSync(layer)
    const config = json({
      architecture: process.arch === 'x64' ? 'amd64' : process.arch,
      os: 'linux',
      config: { Cmd: ['/text'] },
      rootfs: { type: 'layers', diff_ids: [digestOf(layer)] },
    })
    const manifest = json({
      schemaVersion: 2,
      mediaType: MANIFEST,
      config: { mediaType: CONFIG, size: config.length, digest: this.#keep(config) },
      layers: [{ mediaType: LAYER, size: packed.length, digest: this.#keep(packed) }],
    })
    const digest = this.#keep(manifest)
    this.#tags.set(tag, digest)
    return digest
  }

  login(username: string, password: string): void {
    this.#login = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
  }

  answer(request: IncomingMessage, response: ServerResponse): void {
    const path = request.url ?? ''
    if (this.#login !== '' && request.headers.authorization !== this.#login) {
      response
        .writeHead(401, { 'www-authenticate': 'Basic realm="test"' })
        .end(json({ errors: [{ code: 'UNAUTHORIZED' }] }))
      return
    }
    const [, kind, name = ''] = /^\/v2\/[^/]+\/(manifests|blobs)\/(.+)$/.exec(path) ?? []
    if (kind === undefined) return void response.writeHead(path === '/v2/' ? 200 : 404).end('{}')
    if (kind === 'manifests') this.asked.push(name)
    const digest = this.#tags.get(name) ?? name
    const blob = this.#blobs.get(digest)
    if (blob === undefined) {
      response.writeHead(404, { 'content-type': 'application/json' })
      return void response.end(json({ errors: [{ code: 'MANIFEST_UNKNOWN', message: 'manifest unknown' }] }))
    }
    const type = kind === 'manifests' ? MANIFEST : 'application/octet-stream'
    const headers = { 'content-type': type, 'content-length': blob.length, 'docker-content-digest': digest }
    response.writeHead(200, headers).end(request.method === 'HEAD' ? undefined : blob)
  }

  #keep(blob: Buffer): string {
    const digest = digestOf(blob)
    this.#blobs.set(digest, blob)
    return digest
  }
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value))
}
