import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { answer } from './responses'

const TYPES: Readonly<Record<string, string>> = {
  css: 'text/css; charset=utf-8',
  mjs: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
}

let files: ReadonlyMap<string, Buffer> | undefined

/** The page's files by their names, read once. The folder is written out so that file tracers see it. */
function pageFiles(): ReadonlyMap<string, Buffer> {
  files ??= new Map(
    readdirSync(join(__dirname, 'page')).map((name) => [name, readFileSync(join(__dirname, 'page', name))]),
  )
  return files
}

/** One of the files that the page asks for; null when there is none of this name. */
export function asset(name: string): Response | null {
  const type = TYPES[name.slice(name.lastIndexOf('.') + 1)]
  const bytes = pageFiles().get(name)
  return type === undefined || bytes === undefined ? null : answer(new Uint8Array(bytes), type)
}

/** The page itself, for this path: what it asks for lies below. */
export function page(path: string): Response {
  // One slash at the beginning: two would begin another server's name.
  const base = `/${path.replace(/^\/+|\/+$/g, '')}/`.replace(/^\/\/$/, '/')
  const html = String(pageFiles().get('index.html')).replace(
    '<base href="./">',
    `<base href="${escaped(base)}">`,
  )
  return answer(html, 'text/html; charset=utf-8')
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
