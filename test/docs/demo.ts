import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const WELCOME = /listens on (http:\/\/[^/]+)\/mcp[\s\S]*Metrics: curl -sS (http:\/\/[^/]+)\/metrics/

/** What `npm start` starts, on free ports, for the lines that the documentation tells readers to try. */
export class Demo {
  private readonly child: ChildProcess
  private readonly url: string
  private readonly adminUrl: string
  private readonly stateDir: string

  private constructor(child: ChildProcess, url: string, adminUrl: string, stateDir: string) {
    this.child = child
    this.url = url
    this.adminUrl = adminUrl
    this.stateDir = stateDir
  }

  static async start(root: string): Promise<Demo> {
    const stateDir = mkdtempSync(join(tmpdir(), 'sluice-docs-'))
    const ports = ['--listen', '127.0.0.1:0', '--admin', '127.0.0.1:0']
    const args = ['proxy/cli/sluice.ts', 'run', '-c', 'deploy/demo/sluice.yaml', '--demo', ...ports]
    const env = { ...process.env, SLUICE_STATE_DIR: stateDir }
    const child = spawn(process.execPath, args, { cwd: root, env, stdio: ['ignore', 'ignore', 'pipe'] })
    const [url, adminUrl] = await readWelcome(child)
    return new Demo(child, url, adminUrl, stateDir)
  }

  /** Runs lines of documentation in a shell and gives what they print. @throws Error when one of them fails */
  async run(lines: string): Promise<string> {
    const script = lines
      .replaceAll('http://127.0.0.1:8080', this.url)
      .replaceAll('http://127.0.0.1:8081', this.adminUrl)
    const { stdout } = await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', script])
    return stdout
  }

  async stop(): Promise<void> {
    const ended = once(this.child, 'exit')
    this.child.kill('SIGTERM')
    await ended
    rmSync(this.stateDir, { recursive: true, force: true })
  }
}

function readWelcome(child: ChildProcess): Promise<[string, string]> {
  return new Promise((resolve, reject) => {
    let said = ''
    child.once('exit', code => reject(new Error(`the demo ended with ${code}: ${said}`)))
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said += text
      const [, url, adminUrl] = WELCOME.exec(said) ?? []
      if (url !== undefined && adminUrl !== undefined) resolve([url, adminUrl])
    })
  })
}
