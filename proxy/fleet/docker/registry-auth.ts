import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { LaunchError } from '../launcher.ts'
import { registryOf } from './image-name.ts'

/** What a registry wants to know before it gives a private image (Docker Engine API, "Authentication"). */
export type RegistryAuth =
  | { readonly username: string; readonly password: string; readonly serveraddress: string }
  | { readonly identitytoken: string; readonly serveraddress: string }

const HELPER_TIMEOUT_MS = 10_000
const MAX_HELPER_BYTES = 64 * 1024
/** Docker Hub's name in that file. */
const HUB = 'https://index.docker.io/v1/'

interface DockerFile {
  readonly auths?: Readonly<Record<string, { readonly auth?: string; readonly identitytoken?: string }>>
  readonly credsStore?: string
  readonly credHelpers?: Readonly<Record<string, string>>
}

/**
 * What `docker login` has kept for the registry of an image, in `config.json` or with a credential helper; `null` = nothing.
 * @throws LaunchError when the file cannot be read or the helper fails
 */
export async function registryAuth(image: string, env: NodeJS.ProcessEnv): Promise<RegistryAuth | null> {
  const path = join(env.DOCKER_CONFIG ?? join(homedir(), '.docker'), 'config.json')
  const file = await readDockerFile(path)
  const registry = registryOf(image)
  const names = registry === 'docker.io' ? [HUB, 'docker.io', 'index.docker.io'] : [registry, `https://${registry}`]
  const helper = names.map(name => file.credHelpers?.[name]).find(Boolean) ?? file.credsStore
  if (helper !== undefined && helper !== '') return askHelper(helper, names[0] as string)
  for (const name of names) {
    const found = file.auths?.[name]
    if (found?.identitytoken !== undefined) return { identitytoken: found.identitytoken, serveraddress: name }
    if (found?.auth !== undefined && found.auth !== '') return decode(found.auth, name)
  }
  return null
}

async function readDockerFile(path: string): Promise<DockerFile> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as DockerFile
  } catch (error) {
    // Somebody else's file is as good as none: most images need no login.
    if (['ENOENT', 'ENOTDIR', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) return {}
    throw new LaunchError(`${path} cannot be read: what it says about registries is not known`, true, error)
  }
}

function decode(auth: string, serveraddress: string): RegistryAuth {
  const text = Buffer.from(auth, 'base64').toString()
  const colon = text.indexOf(':')
  return { username: text.slice(0, colon), password: text.slice(colon + 1), serveraddress }
}

/** The protocol of docker-credential-helpers: the registry to its input, JSON from its output; 1 = it knows none. */
function askHelper(helper: string, registry: string): Promise<RegistryAuth | null> {
  if (!/^[a-zA-Z0-9_-]+$/.test(helper)) throw new LaunchError('a credential helper with a bad name', true)
  const command = `docker-credential-${helper}`
  return new Promise((resolve, reject) => {
    const child = spawn(command, ['get'], { stdio: ['pipe', 'pipe', 'ignore'], timeout: HELPER_TIMEOUT_MS })
    let said = ''
    child.stdout.on('data', (chunk: Buffer) => {
      if (said.length < MAX_HELPER_BYTES) said += chunk.toString()
    })
    child.on('error', error => reject(new LaunchError(`${command} cannot be run`, true, error)))
    child.on('close', code => {
      if (code === 0) resolve(fromHelper(said, registry))
      else if (/not found/i.test(said)) resolve(null)
      else reject(new LaunchError(`${command} failed: there is no login for ${registry}`, false))
    })
    child.stdin.on('error', () => {})
    child.stdin.end(registry)
  })
}

function fromHelper(said: string, serveraddress: string): RegistryAuth {
  const { Username = '', Secret = '' } = JSON.parse(said) as { Username?: string; Secret?: string }
  if (Username === '<token>') return { identitytoken: Secret, serveraddress }
  return { username: Username, password: Secret, serveraddress }
}
