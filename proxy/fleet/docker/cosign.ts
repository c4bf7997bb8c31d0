import { execFile } from 'node:child_process'
import { LaunchError } from '../launcher.ts'
import type { CosignSpec } from '../spec/container.ts'

const COSIGN_TIMEOUT_MS = 60_000
const MAX_OUTPUT_BYTES = 4 * 1024 * 1024
const MAX_TEXT = 300

/**
 * Lets `cosign verify` judge an image by digest. Resolves only when it has said yes.
 * @throws LaunchError where the tool is missing, or says anything else
 */
export function verifyImage(image: string, spec: CosignSpec, env: NodeJS.ProcessEnv): Promise<void> {
  const options = { env, timeout: COSIGN_TIMEOUT_MS, maxBuffer: MAX_OUTPUT_BYTES }
  return new Promise((resolve, reject) => {
    execFile('cosign', ['verify', ...flags(spec), image], options, (error, _stdout, stderr) => {
      if (error === null) resolve()
      else reject(refusal(image, error, stderr))
    })
  })
}

function flags(spec: CosignSpec): string[] {
  const found: string[] = []
  if (spec.key !== '') found.push('--key', spec.key)
  if (spec.identity !== '') found.push('--certificate-identity', spec.identity)
  if (spec.issuer !== '') found.push('--certificate-oidc-issuer', spec.issuer)
  return found
}

function refusal(image: string, error: Error & { code?: unknown; killed?: boolean }, stderr: string): LaunchError {
  if (error.code === 'ENOENT') {
    return new LaunchError(`${image} was not run: "verify" needs the cosign tool, which is not installed`, true, error)
  }
  if (error.killed === true) {
    return new LaunchError(`${image} was not run: cosign took more than ${COSIGN_TIMEOUT_MS} ms`, false, error)
  }
  const last = stderr.trim().split('\n').at(-1)?.slice(0, MAX_TEXT) ?? ''
  return new LaunchError(`${image} was not run: cosign does not vouch for it: ${last}`, true, error)
}
