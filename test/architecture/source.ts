import { readdirSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import {
  type CallExpression,
  type ExportDeclaration,
  type ImportDeclaration,
  type ImportTypeNode,
  type Node,
  type SourceFile,
  SyntaxKind,
} from 'typescript/unstable/ast'
import { createVirtualFileSystem } from 'typescript/unstable/fs'
import { API } from 'typescript/unstable/sync'

/** One mention of another module: import, re-export, `import()` or `import('…').Type`. */
export interface Mention {
  readonly specifier: string
  /** Erased before run time: `import type`, `export type … from`, `import('…').T`. `import { type T }` is not. */
  readonly typeOnly: boolean
  readonly line: number
}

/** One function that has a block of statements; `x => y` counts as an expression. */
export interface FunctionFacts {
  /** As close to a name as the source gives: `send`, `Pool.send`, `(anonymous)`. */
  readonly name: string
  readonly line: number
  /** From its first to its last line, without its doc comment. */
  readonly lines: number
  readonly isAsync: boolean
  /** Whether it declares tests (`describe`, `it`, …): then it is a chapter, not a function. */
  readonly declaresTests: boolean
}

export interface FileFacts {
  /** From the root, with `/`. */
  readonly path: string
  readonly lines: number
  readonly mentions: readonly Mention[]
  readonly functions: readonly FunctionFacts[]
  /** Async functions without a block too: `async () => x`. */
  readonly asyncs: readonly FunctionFacts[]
  /** Whether it holds nothing but re-exports, or any `export * from`. */
  readonly barrel: boolean
}

/** Parses every `.ts` file of a project with the compiler's own parser. @param root holds `tsconfig.json` */
export function readProject(root: string): FileFacts[] {
  return withApi(new API({ cwd: root }), root)
}

/** The same for files that exist only in a test. Keys are paths from the root. */
export function readSamples(files: Readonly<Record<string, string>>): FileFacts[] {
  const entries = Object.entries(files).map(([path, text]) => [`/samples/${path}`, text])
  const config = JSON.stringify({ compilerOptions: { noLib: true, types: [] }, include: ['**/*.ts'] })
  const fs = createVirtualFileSystem({ ...Object.fromEntries(entries), '/samples/tsconfig.json': config })
  return withApi(new API({ cwd: '/samples', fs }), '/samples')
}

/** Every file below some folders, from the root, with `/`. */
export function listFiles(root: string, folders: readonly string[]): string[] {
  return folders
    .flatMap(folder => readdirSync(join(root, folder), { recursive: true, withFileTypes: true }))
    .filter(entry => entry.isFile())
    .map(entry => relative(root, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .filter(path => !path.includes('node_modules/'))
    .sort()
}

function withApi(api: API, root: string): FileFacts[] {
  try {
    const project = api.updateSnapshot({ openProjects: [`${root}/tsconfig.json`] }).getProjects()[0]
    if (project === undefined) throw new Error(`${root}/tsconfig.json: the compiler opened no project`)
    return project.rootFiles.map(file => {
      const source = project.program.getSourceFile(file)
      if (source === undefined) throw new Error(`${file}: the compiler gave no syntax tree`)
      return readFacts(source, relative(root, file).split(sep).join('/'))
    })
  } finally {
    api.close()
  }
}

function readFacts(source: SourceFile, path: string): FileFacts {
  const mentions: Mention[] = []
  const functions: FunctionFacts[] = []
  const asyncs: FunctionFacts[] = []
  const visit = (node: Node): void => {
    const mention = readMention(node, source)
    if (mention !== null) mentions.push(mention)
    if (isFunction(node)) {
      const facts = readFunction(node, source)
      if (bodyOf(node)?.kind === SyntaxKind.Block) functions.push(facts)
      if (facts.isAsync) asyncs.push(facts)
    }
    node.forEachChild(visit)
  }
  visit(source)
  return { path, lines: countLines(source.text), mentions, functions, asyncs, barrel: isBarrel(source) }
}

function countLines(text: string): number {
  return text.split('\n').length - (text.endsWith('\n') ? 1 : 0)
}

function readMention(node: Node, source: SourceFile): Mention | null {
  const line = lineOf(node.getStart(source), source)
  if (node.kind === SyntaxKind.ImportDeclaration) {
    const declaration = node as ImportDeclaration
    const typeOnly = declaration.importClause?.phaseModifier === SyntaxKind.TypeKeyword
    return { specifier: literal(declaration.moduleSpecifier), typeOnly, line }
  }
  if (node.kind === SyntaxKind.ExportDeclaration) {
    const declaration = node as ExportDeclaration
    if (declaration.moduleSpecifier === undefined) return null
    return { specifier: literal(declaration.moduleSpecifier), typeOnly: declaration.isTypeOnly, line }
  }
  if (node.kind === SyntaxKind.ImportType) {
    const argument = (node as ImportTypeNode).argument as unknown as { literal: Node }
    return { specifier: literal(argument.literal), typeOnly: true, line }
  }
  if (node.kind === SyntaxKind.CallExpression) {
    const call = node as CallExpression
    const argument = call.arguments[0]
    if (call.expression.kind !== SyntaxKind.ImportKeyword || argument?.kind !== SyntaxKind.StringLiteral) return null
    return { specifier: literal(argument), typeOnly: false, line }
  }
  return null
}

const FUNCTIONS: ReadonlySet<SyntaxKind> = new Set([
  SyntaxKind.FunctionDeclaration,
  SyntaxKind.FunctionExpression,
  SyntaxKind.ArrowFunction,
  SyntaxKind.MethodDeclaration,
  SyntaxKind.Constructor,
  SyntaxKind.GetAccessor,
  SyntaxKind.SetAccessor,
])

function isFunction(node: Node): boolean {
  return FUNCTIONS.has(node.kind) && bodyOf(node) !== undefined
}

function bodyOf(node: Node): Node | undefined {
  return (node as unknown as { body?: Node }).body
}

function readFunction(node: Node, source: SourceFile): FunctionFacts {
  const line = lineOf(node.getStart(source), source)
  const lines = lineOf(node.end, source) - line + 1
  const modifiers = (node as unknown as { modifiers?: readonly Node[] }).modifiers ?? []
  const isAsync = modifiers.some(modifier => modifier.kind === SyntaxKind.AsyncKeyword)
  return { name: nameOf(node, source), line, lines, isAsync, declaresTests: declaresTests(node, source) }
}

/** Its own name, else that of the variable, property or field it is the value of; methods with their class. */
function nameOf(node: Node, source: SourceFile): string {
  if (node.kind === SyntaxKind.Constructor) return `${ownName(node.parent, source)}.constructor`
  const own = ownName(node, source)
  if (own !== '' && node.parent.kind === SyntaxKind.ClassDeclaration) return `${ownName(node.parent, source)}.${own}`
  return own || ownName(node.parent, source) || '(anonymous)'
}

function ownName(node: Node, source: SourceFile): string {
  return (node as unknown as { name?: Node }).name?.getText(source) ?? ''
}

const DECLARES = new Set(['describe', 'suite', 'it', 'test'])

function declaresTests(node: Node, source: SourceFile): boolean {
  if (node.kind === SyntaxKind.CallExpression) {
    if (DECLARES.has((node as CallExpression).expression.getText(source))) return true
  }
  return node.forEachChild(child => declaresTests(child, source) || undefined) === true
}

function isBarrel(source: SourceFile): boolean {
  const statements = [...source.statements]
  const reexports = statements.filter(
    node => node.kind === SyntaxKind.ExportDeclaration && (node as ExportDeclaration).moduleSpecifier !== undefined,
  )
  if (reexports.some(node => (node as ExportDeclaration).exportClause === undefined)) return true
  return reexports.length > 0 && reexports.length === statements.length
}

function lineOf(position: number, source: SourceFile): number {
  return source.getLineAndCharacterOfPosition(position).line + 1
}

function literal(node: Node): string {
  return (node as unknown as { text: string }).text
}
