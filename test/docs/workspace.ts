import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Fence } from './markdown.ts'

/** A folder inside the package, so that `#api` means what it means to a reader; outside version control. */
export class Workspace {
  readonly dir: string
  private readonly root: string

  constructor(root: string) {
    this.root = root
    mkdirSync(join(root, '.sluice'), { recursive: true })
    this.dir = mkdtempSync(join(root, '.sluice', 'docs-'))
    const config = { extends: '../../tsconfig.json', include: ['**/*.ts'] }
    this.write('tsconfig.json', JSON.stringify(config))
  }

  write(path: string, text: string): string {
    const file = join(this.dir, path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text)
    return file
  }

  /** Writes a fence with `file=PATH`, padded so that line numbers are those of the document. */
  writeFence(fence: Fence): string {
    return this.write(fencePath(fence), '\n'.repeat(fence.line - 1) + fence.text)
  }

  /** Type errors of all files, `''` when there are none. */
  typecheck(): string {
    return this.run('tsc', ['-p', join(this.dir, 'tsconfig.json')])
  }

  /** Output of a test file that failed, `''` when it passed. */
  runTest(file: string): string {
    return this.run(process.execPath, ['--test', file])
  }

  /** Output of `sluice` with these arguments in the workspace's folder where it failed, else `''`. */
  runSluice(args: string): string {
    return this.run(process.execPath, [join(this.root, 'proxy/cli/sluice.ts'), ...args.trim().split(/\s+/)], this.dir)
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true })
  }

  private run(command: string, args: readonly string[], cwd = this.root): string {
    const { NODE_TEST_CONTEXT: _, ...env } = process.env
    const path = `${join(this.root, 'node_modules/.bin')}:${env.PATH}`
    const done = spawnSync(command, args, { cwd, env: { ...env, PATH: path }, encoding: 'utf8' })
    if (done.error !== undefined) throw done.error
    return done.status === 0 ? '' : `${command} ended with ${done.status}:\n${done.stdout}${done.stderr}`
  }
}

/** The path in the marker of a fence. @throws Error for a TypeScript example that nobody could check */
export function fencePath(fence: Fence): string {
  const path = /^file=(\S+\.ts)$/.exec(fence.marker)?.[1]
  if (path === undefined) throw new Error(`${fence.document}:${fence.line}: say "ts file=PATH", so that it is checked`)
  return path
}
