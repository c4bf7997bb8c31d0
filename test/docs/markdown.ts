import { readdirSync, readFileSync } from 'node:fs'

/** A fenced block of a Markdown file. */
export interface Fence {
  readonly document: string
  /** Line of its first line of text, from 1. */
  readonly line: number
  /** First word of the info string. */
  readonly language: string
  /** The rest of it: `policy`, `file=a/b.ts`. */
  readonly marker: string
  readonly text: string
}

/** The Markdown files that make promises to readers, from the root. */
export function documents(root: string): string[] {
  const inDocs = readdirSync(`${root}/docs`, { recursive: true, encoding: 'utf8' })
  const paths = inDocs.map(path => `docs/${path}`).filter(path => path.endsWith('.md'))
  return ['README.md', 'CONTRIBUTING.md', ...paths.sort()]
}

export function readFences(root: string, document: string): Fence[] {
  return fencesOf(readFileSync(`${root}/${document}`, 'utf8'), document)
}

/** Reads fences of three backticks; nothing in this repository needs more. */
export function fencesOf(text: string, document: string): Fence[] {
  const found: Fence[] = []
  let open: { line: number; info: string; lines: string[] } | null = null
  text.split('\n').forEach((line, index) => {
    if (open === null) {
      if (line.startsWith('```')) open = { line: index + 2, info: line.slice(3).trim(), lines: [] }
    } else if (line.trimEnd() === '```') {
      const [language = '', ...rest] = open.info.split(/\s+/)
      found.push({ document, line: open.line, language, marker: rest.join(' '), text: `${open.lines.join('\n')}\n` })
      open = null
    } else {
      open.lines.push(line)
    }
  })
  if (open !== null) throw new Error(`${document}: a fence is not closed`)
  return found
}

/** Rows of all tables of a document whose header line begins with these cells; cells without the blanks around them. */
export function tableRows(text: string, header: readonly string[]): string[][] {
  const rows: string[][] = []
  let inside = false
  for (const line of text.split('\n')) {
    const cells = line.startsWith('|') ? splitRow(line) : null
    if (cells === null) inside = false
    else if (header.every((name, index) => cells[index] === name)) inside = true
    else if (inside && !/^:?-+:?$/.test(cells[0] ?? '')) rows.push(cells)
  }
  return rows
}

function splitRow(line: string): string[] {
  return line
    .replace(/^\||\|\s*$/g, '')
    .split('|')
    .map(cell => cell.trim())
}

/** `` `name` `` → `name`; anything else is returned as it is. */
export function uncode(cell: string): string {
  return /^`[^`]+`$/.test(cell) ? cell.slice(1, -1) : cell
}

/** Targets of links to files of this repository, without anchors. */
export function fileLinks(text: string): string[] {
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(match => (match[1] ?? '').split('#')[0] ?? '')
    .filter(target => target !== '' && !/^[a-z]+:/.test(target))
}
