import { homedir } from 'node:os'
import { isAbsolute, join, resolve } from 'node:path'

/** `$SLUICE_STATE_DIR`, else `$XDG_STATE_HOME/sluice`, else `~/.local/state/sluice`. Not created here. */
export function defaultStateDir(env: NodeJS.ProcessEnv): string {
  if (env.SLUICE_STATE_DIR) return resolve(env.SLUICE_STATE_DIR)
  // A relative XDG_STATE_HOME is to be ignored (XDG Base Directory Specification).
  if (env.XDG_STATE_HOME && isAbsolute(env.XDG_STATE_HOME)) return join(env.XDG_STATE_HOME, 'sluice')
  return join(env.HOME || homedir(), '.local', 'state', 'sluice')
}
