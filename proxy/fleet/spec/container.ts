/** How the signature of an image is checked before it runs. All texts may be `''` = not given. */
export interface CosignSpec {
  /** File or KMS reference of the public key. */
  readonly key: string
  /** Whom the certificate of a keyless signature must name. */
  readonly identity: string
  readonly issuer: string
}

/** One mount of a container. */
export interface VolumeSpec {
  readonly kind: 'host' | 'named'
  /** Absolute host path, or the name of a volume of the engine. */
  readonly source: string
  readonly target: string
  readonly readOnly: boolean
}

/** `servers.<name>.image` and what belongs to it, every default filled in. */
export interface ContainerSpec {
  readonly image: string
  readonly pull: 'missing' | 'always' | 'never'
  /** Whether the image runs by digest: by that of `image`, else by the one first seen. */
  readonly pin: boolean
  readonly verify: CosignSpec | null
  /** `null` = the image's own. */
  readonly entrypoint: readonly string[] | null
  readonly args: readonly string[]
  readonly env: Readonly<Record<string, string>>
  /** `''` = the image's own. */
  readonly workdir: string
  /** Port the server listens on inside; 0 = it speaks over stdio. */
  readonly port: number
  readonly path: string
  /** `UID:GID` or a name in the image; `''` = the image's own where it is a number other than 0, else 65534:65534. */
  readonly user: string
  readonly cpus: number
  readonly memoryBytes: number
  /** 0 = none. */
  readonly memoryReservationBytes: number
  readonly pids: number
  /** `none`, `internal`, `bridge`, or a name; `''` = `none` over stdio, `bridge` over HTTP. */
  readonly network: string
  readonly volumes: readonly VolumeSpec[]
  readonly labels: Readonly<Record<string, string>>
  /** Path -> bytes of each file system in memory. */
  readonly tmpfs: Readonly<Record<string, number>>
  readonly readOnly: boolean
  readonly capAdd: readonly string[]
  readonly oomScoreAdj: number
  /** Whether the engine puts its own init before the server's process. */
  readonly init: boolean
}

/** `fleet:` of `sluice.yaml`. */
export interface FleetSettings {
  /** Tells this proxy's containers from those of others on the same engine; `''` = made once, kept in the state folder. */
  readonly instance: string
  /** Host paths that volumes may show, absolute. */
  readonly allowedHostPaths: readonly string[]
  /** Socket of the Docker engine; `''` = by `DOCKER_HOST`, else the usual place. */
  readonly dockerSocket: string
}
