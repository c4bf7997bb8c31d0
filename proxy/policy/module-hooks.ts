import { statSync } from 'node:fs'
import { type ResolveFnOutput, type ResolveHookContext, registerHooks } from 'node:module'
import { extname } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

/** `.ts` from a checkout, `.js` in a build. */
const EXTENSION = extname(import.meta.url)

const API = new URL(`../api/index${EXTENSION}`, import.meta.url).href
const TESTING = new URL(`../testing${EXTENSION}`, import.meta.url).href

/** What users' modules import, wherever they lie: there must be one copy, and it is ours. */
const OURS: ReadonlyMap<string, string> = new Map([
  ['#api', API],
  ['sluice-mcp/api', API],
  ['#testing', TESTING],
  ['sluice-mcp/testing', TESTING],
])

/** Stands before the name of a package that is to be resolved from some other folder. */
const PACKAGE = 'sluice-package:'

type Next = (specifier: string, context?: Partial<ResolveHookContext>) => ResolveFnOutput

let installed = false

/** Makes `#api` and `#testing` resolve from any folder. Once a process; calling it again does nothing. */
export function installModuleHooks(): void {
  if (installed) return
  installed = true
  registerHooks({ resolve })
}

function resolve(specifier: string, context: ResolveHookContext, next: Next): ResolveFnOutput {
  const url = OURS.get(specifier)
  if (url !== undefined) return { url, format: 'module', shortCircuit: true }
  if (specifier.startsWith(PACKAGE)) return resolvePackage(new URL(specifier), context, next)
  const resolved = next(specifier, context)
  return hasVersion(context.parentURL) && /^\.\.?\//.test(specifier) ? versioned(resolved) : resolved
}

function resolvePackage(url: URL, context: ResolveHookContext, next: Next): ResolveFnOutput {
  return next(decodeURIComponent(url.pathname), { ...context, parentURL: url.searchParams.get('from') ?? undefined })
}

/** Helpers of a user's module are loaded afresh with it. */
function versioned(resolved: ResolveFnOutput): ResolveFnOutput {
  if (!resolved.url.startsWith('file:') || resolved.url.includes('/node_modules/')) return resolved
  return { ...resolved, url: versionedUrl(fileURLToPath(resolved.url)) }
}

function hasVersion(parent: string | undefined): boolean {
  return parent?.includes('?v=') === true
}

/** A URL that changes when the file, so that `import` does not give the module of before. */
export function versionedUrl(file: string, version = fileVersion(file)): string {
  return `${pathToFileURL(file).href}?v=${version}`
}

/** Changes whenever the file does; `0` for a file that is not there. */
export function fileVersion(file: string): string {
  const stat = statSync(file, { throwIfNoEntry: false, bigint: true })
  return stat === undefined ? '0' : `${stat.mtimeNs}-${stat.size}`
}

/** What to `import` for a package as a module in `folder` would name it. */
export function packageUrl(name: string, folder: string): string {
  const from = pathToFileURL(`${folder}/_.js`).href
  return `${PACKAGE}${encodeURIComponent(name)}?from=${encodeURIComponent(from)}`
}
