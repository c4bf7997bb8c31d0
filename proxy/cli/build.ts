import { spawnSync } from 'node:child_process'
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

/**
 * `npm run build`: makes `dist/`, the package that is published (`npm pack ./dist`): compiled JavaScript with types, the
 * policies, and a manifest of its own, so that a consumer gets neither our tools nor a Node binary. It is no command of
 * `sluice` and not part of the package.
 */
const root = join(import.meta.dirname, '../..')
const dist = join(root, 'dist')
const COPIED = ['policies', 'docs', 'README.md', 'LICENSE']

interface Manifest {
  readonly [key: string]: unknown
  readonly dependencies: Readonly<Record<string, string>>
  readonly optionalDependencies: Readonly<Record<string, string>>
}

build()

function build(): void {
  rmSync(dist, { recursive: true, force: true })
  mkdirSync(dist)
  compile()
  for (const name of COPIED) {
    if (existsSync(join(root, name))) cpSync(join(root, name), join(dist, name), { recursive: true })
  }
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest
  writeFileSync(join(dist, 'package.json'), `${JSON.stringify(publishedManifest(manifest), null, 2)}\n`)
  chmodSync(join(dist, 'proxy/cli/sluice.js'), 0o755)
  process.stdout.write(`built ${manifest.name}@${manifest.version} in dist; pack it with: npm pack ./dist\n`)
}

function compile(): void {
  const config = join(dist, 'tsconfig.json')
  writeFileSync(config, JSON.stringify(compilerConfig()))
  // The package does not export its binary's path; the one beside its manifest does not depend on PATH.
  const tsc = join(createRequire(import.meta.url).resolve('typescript/package.json'), '../bin/tsc')
  const { status, error } = spawnSync(process.execPath, [tsc, '-p', config], { stdio: 'inherit' })
  rmSync(config)
  if (error !== undefined) throw error
  if (status !== 0) process.exit(status ?? 1)
}

function compilerConfig(): unknown {
  return {
    extends: '../tsconfig.json',
    compilerOptions: { noEmit: false, declaration: true, rootDir: '..', outDir: '.', noEmitOnError: true },
    include: ['../proxy', '../interceptors'],
    // Examples for users are in the documentation; tests and this file are ours.
    exclude: ['../interceptors/custom', '../**/*.test.ts', '../proxy/cli/build.ts', '../proxy/cli/require-node.mjs'],
  }
}

/** Named one by one: what is not named here is not published. */
function publishedManifest(manifest: Manifest): unknown {
  const { name, version, description, keywords, license, homepage, repository, bugs, engines, dependencies } = manifest
  return {
    ...{ name, version, description, keywords, license, homepage, repository, bugs },
    type: 'module',
    engines,
    bin: { sluice: './proxy/cli/sluice.js' },
    exports: {
      './api': { types: './proxy/api/index.d.ts', default: './proxy/api/index.js' },
      './testing': { types: './proxy/testing.d.ts', default: './proxy/testing.js' },
      './package.json': './package.json',
    },
    imports: { '#api': './proxy/api/index.js', '#testing': './proxy/testing.js' },
    dependencies,
    optionalDependencies: withoutNode(manifest.optionalDependencies),
  }
}

/** Node itself is for developers of Sluice; whoever installs the package has one. */
function withoutNode(optional: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(optional).filter(([name]) => !/^node-(linux|bin)-/.test(name)))
}
