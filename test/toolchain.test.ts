import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { packagesOf } from './architecture/rules.ts'
import { readProject } from './architecture/source.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '')

type Versions = Readonly<Record<string, string>>
interface Manifest {
  readonly version: string
  readonly engines: Versions
  readonly bin: Versions
  readonly dependencies: Versions
  readonly devDependencies: Versions
  readonly optionalDependencies: Versions
  readonly scripts: Versions
}
interface Lock {
  readonly packages: Readonly<Record<string, { readonly integrity?: string; readonly link?: boolean }>>
}

const manifest = readJson<Manifest>('package.json')
const EXACT = /^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/

describe('the toolchain', () => {
  it('runs on the pinned Node, whatever the machine has', () => {
    const nodes = Object.entries(manifest.optionalDependencies).filter(([name]) => /^node-(linux|bin)-/.test(name))
    const pinned = new Set(nodes.map(([, version]) => version))
    assert.deepEqual([...pinned], [process.version.slice(1)], 'run tests with "npm test", after "npm ci"')
  })

  it('pins every package to one version', () => {
    const { dependencies, devDependencies, optionalDependencies } = manifest
    const all = Object.entries({ ...dependencies, ...devDependencies, ...optionalDependencies })
    assert.deepEqual(
      all.filter(([, version]) => !EXACT.test(version)),
      [],
    )
  })

  it('has a lock file with the integrity of everything it would download', () => {
    const entries = Object.entries(readJson<Lock>('package-lock.json').packages).filter(([path]) => path !== '')
    const bare = entries.filter(([, entry]) => entry.integrity === undefined && entry.link !== true)
    assert.deepEqual(
      bare.map(([path]) => path),
      [],
    )
    for (const name of Object.keys(manifest.optionalDependencies)) {
      assert.ok(
        entries.some(([path]) => path === `node_modules/${name}`),
        `${name} is not in the lock file`,
      )
    }
  })

  it('declares every package that product code uses at run time', () => {
    const product = readProject(ROOT).filter(file => /^(proxy|interceptors)\//.test(file.path))
    const shipped = product.filter(file => !file.path.endsWith('.test.ts') && file.path !== 'proxy/cli/build.ts')
    const used = new Set(shipped.flatMap(packagesOf).filter(name => !builtinModules.includes(name)))
    const { dependencies, optionalDependencies } = manifest
    const missing = [...used].filter(name => !(name in dependencies) && !(name in optionalDependencies))
    assert.deepEqual(missing, [], 'these belong into "dependencies"')
  })

  it('checks for the pinned Node before every script that runs TypeScript', () => {
    const running = Object.entries(manifest.scripts).filter(([, line]) => /\.ts\b/.test(line))
    const unguarded = running.filter(([, line]) => !line.startsWith('node proxy/cli/require-node.mjs && '))
    assert.deepEqual(unguarded, [])
  })
})

function readJson<T>(path: string): T {
  return JSON.parse(readFileSync(`${ROOT}/${path}`, 'utf8')) as T
}
