import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Answer } from '../http/asked'
import { answer } from './responses'

const TYPES: Readonly<Record<string, string>> = {
  css: 'text/css; charset=utf-8',
  mjs: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
}

let files: ReadonlyMap<string, Buffer> | undefined

/** The page's files by name, read once. The folder is a literal, so that bundlers' file tracing finds it. */
function pageFiles(): ReadonlyMap<string, Buffer> {
  files ??= new Map(
    readdirSync(join(__dirname, 'page')).map((name) => [name, readFileSync(join(__dirname, 'page', name))]),
  )
  return files
}

/** A file of the page; null if there is no such file. */
export function asset(name: string): Answer | null {
  const type = TYPES[name.slice(name.lastIndexOf('.') + 1)]
  const bytes = pageFiles().get(name)
  return type === undefined || bytes === undefined ? null : answer(bytes, type)
}

/** The page itself. Its other requests go to paths below this one. */
export function page(path: string): Answer {
  // Two slashes at the beginning would make the next segment a host name.
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
