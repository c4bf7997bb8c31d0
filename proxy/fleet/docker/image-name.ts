/** An image as it is written: `registry/repository:tag@digest`. */
export interface ImageName {
  /** Without tag and digest, as written. */
  readonly repository: string
  /** `''` = none is written. */
  readonly tag: string
  /** `sha256:…`; `''` = none is written. */
  readonly digest: string
}

export function parseImage(text: string): ImageName {
  const [named = '', digest = ''] = text.split('@')
  const colon = named.lastIndexOf(':')
  // A colon before the last slash belongs to the registry's port.
  if (colon === -1 || colon < named.lastIndexOf('/')) return { repository: named, tag: '', digest }
  return { repository: named.slice(0, colon), tag: named.slice(colon + 1), digest }
}

/** The registry a name means: its first part where that is a host, else Docker Hub. */
export function registryOf(image: string): string {
  const [first = '', ...rest] = parseImage(image).repository.split('/')
  const isHost = rest.length > 0 && (first.includes('.') || first.includes(':') || first === 'localhost')
  return isHost ? first : 'docker.io'
}

/** The digest under which a registry knows an image, `repository@sha256:…`; `null` = it never saw one. */
export function registryDigest(image: string, repoDigests: readonly string[]): string | null {
  const wanted = familiar(parseImage(image).repository)
  return repoDigests.find(one => familiar(parseImage(one).repository) === wanted) ?? null
}

function familiar(repository: string): string {
  return repository.replace(/^(index\.)?docker\.io\//, '').replace(/^library\//, '')
}
