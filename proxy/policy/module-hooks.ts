import { type ResolveFnOutput, type ResolveHookContext, registerHooks } from 'node:module'
import { extname } from 'node:path'
import { pathToFileURL } from 'node:url'

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

/** What stands behind the URL of a user's module. */
const VERSION = /\?v=([\w-]+)$/

type Next = (specifier: string, context?: Partial<ResolveHookContext>) => ResolveFnOutput

let installed = false

/** Makes `#api` and `#testing` resolve from any folder. Once a process; calling it again does nothing. */
export function installModuleHooks(): void {
  if (installed) return
  installed = true
  registerHooks({ resolve })
}

function resolve(specifier: string, context: ResolveHookContext, next: Next): ResolveFnOutput {
  const ours = OURS.get(specifier)
  if (ours !== undefined) return next(ours, context)
  if (specifier.startsWith(PACKAGE)) return resolvePackage(new URL(specifier), context, next)
  const resolved = next(specifier, context)
  const version = VERSION.exec(context.parentURL ?? '')?.[1]
  return version !== undefined && /^\.\.?\//.test(specifier) ? versioned(resolved, version) : resolved
}

function resolvePackage(url: URL, context: ResolveHookContext, next: Next): ResolveFnOutput {
  return next(decodeURIComponent(url.pathname), { ...context, parentURL: url.searchParams.get('from') ?? undefined })
}

/** What a user's module imports is loaded afresh with it. */
function versioned(resolved: ResolveFnOutput, version: string): ResolveFnOutput {
  if (!resolved.url.startsWith('file:') || resolved.url.includes('/node_modules/')) return resolved
  return { ...resolved, url: `${resolved.url}?v=${version}` }
}

/** A URL that changes with the version, so that `import` does not give the module of before. */
export function versionedUrl(file: string, version: string): string {
  return `${pathToFileURL(file).href}?v=${version}`
}

/** What to `import` for a package as a module in `folder` would name it. */
export function packageUrl(name: string, folder: string): string {
  const from = pathToFileURL(`${folder}/_.js`).href
  return `${PACKAGE}${encodeURIComponent(name)}?from=${encodeURIComponent(from)}`
}
