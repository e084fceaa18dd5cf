// The programs in README and docs, as somebody would paste them.
//
// A block may follow a comment, which GitHub does not show:
//
//   <!-- prelude
//   import { createEngine } from 'tidemark'
//   declare const chatId: string
//   -->
//
// The comment's text is put in front of the block. `<!-- prelude run` says that both together are a program that ends by
// itself, successfully. A block whose first line is `// app/page.tsx`, or another file's name, is that file for the others of its page.

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { root } from './steps.mjs'

/**
 * @typedef {object} Block
 * @property {string} page its file, from the root
 * @property {number} line of the page where it begins
 * @property {'ts' | 'tsx' | 'js'} language
 * @property {string} file where it is for its page's other blocks
 * @property {string} code the prelude and the block
 * @property {string} pasted the block alone
 * @property {boolean} isRun
 */

const BLOCK =
  /(?:<!-- prelude(?<run> run)?\n(?<prelude>[\s\S]*?)-->\s*)?^```(?<language>ts|tsx|js|jsx|mjs)\n(?<pasted>[\s\S]*?)^```$/gm

/** The pages that hold programs. */
export const pages = [
  'README.md',
  'CONTRIBUTING.md',
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
]

/** @param {string} page @returns {Block[]} */
export function blocksOf(page) {
  const text = readFileSync(join(root, page), 'utf8')
  return [...text.matchAll(BLOCK)].map(({ index, groups, 0: all }, number) => {
    const { run, prelude = '', language = '', pasted = '' } = groups ?? {}
    const isScript = language === 'js' || language === 'mjs' || language === 'jsx'
    const name = /^\/\/ ([\w./[\]-]+\.[cm]?[jt]sx?)$/m.exec(pasted.slice(0, pasted.indexOf('\n')))?.[1]
    return {
      page,
      line: text.slice(0, index + all.indexOf('```')).split('\n').length,
      language: isScript ? 'js' : /** @type {'ts' | 'tsx'} */ (language),
      file: name ?? `block-${number + 1}.${isScript ? 'mjs' : language}`,
      code: prelude + pasted,
      pasted,
      isRun: run !== undefined,
    }
  })
}

/** What the examples of `index.d.ts` use without saying where it comes from. */
const GIVEN = `import { createServer, type ServerResponse } from 'node:http'
import { hostname } from 'node:os'
import { createEngine, type Engine, type Producer } from 'tidemark'
declare const given: {
  engine: Engine
  producer: Producer
  response: ServerResponse
  chatId: string
  userId: string
  cursor: string
  model(options: { signal: AbortSignal }): AsyncIterable<string>
  send(text: string): Promise<void>
  save(...row: unknown[]): Promise<void>
}
`

/** The `@example` blocks of `index.d.ts`, which editors show with the call that they are of. @returns {Block[]} */
export function examples() {
  const page = 'index.d.ts'
  const text = readFileSync(join(root, page), 'utf8')
  return [...text.matchAll(/^ +\* @example\n +\* ```ts\n([\s\S]*?)^ +\* ```$/gm)].map(
    ({ index, 1: block = '' }, number) => {
      const pasted = block.replaceAll(/^ +\* ?/gm, '')
      const names = [...GIVEN.matchAll(/^ {2}(\w+)[:(]/gm)].map(([, name = '']) => name)
      const used = names.filter(
        (name) =>
          new RegExp(`(?<![.\\w])${name}\\b`).test(pasted) &&
          !new RegExp(`const.*\\b${name}\\b.* (=|of) `).test(pasted),
      )
      return {
        page,
        line: text.slice(0, index).split('\n').length + 1,
        language: /** @type {const} */ ('ts'),
        file: `example-${number + 1}.ts`,
        code: `${GIVEN}const { ${used.join(', ')} } = given\n${pasted}`,
        pasted,
        isRun: false,
      }
    },
  )
}

const COMPILER = {
  target: 'es2022',
  module: 'esnext',
  moduleResolution: 'bundler',
  moduleDetection: 'force',
  jsx: 'react-jsx',
  types: ['node'],
  strict: true,
  skipLibCheck: true,
  noEmit: true,
  paths: { '@/*': ['./*'] },
}

const LOOSE = { allowJs: true, checkJs: true, noImplicitAny: false, strictNullChecks: false }

/** @param {Block} block */
const imports = ({ code }) => /^import /m.test(code)

/**
 * Writes the blocks of a page into a folder, with the projects that compile them: strict, with the DOM's types for what is
 * for the browser; JavaScript without what only annotations could say.
 * @param {string} folder
 * @param {Block[]} blocks
 * @returns {string[]} the projects' files
 */
export function writePage(folder, blocks) {
  mkdirSync(folder, { recursive: true })
  for (const { file, code } of blocks) {
    mkdirSync(dirname(join(folder, file)), { recursive: true })
    writeFileSync(join(folder, file), code)
  }
  writeFileSync(join(folder, 'stand-ins.d.ts'), STAND_INS)
  /** @param {string} name @param {Block[]} chosen @param {object} options */
  const project = (name, chosen, options) => {
    if (chosen.length === 0) return []
    const include = ['stand-ins.d.ts', ...chosen.map(({ file }) => file)]
    const file = join(folder, `tsconfig.${name}.json`)
    writeFileSync(file, JSON.stringify({ compilerOptions: { ...COMPILER, ...options }, files: include }))
    return [file]
  }
  const server = ['es2023', 'esnext.disposable']
  const scripts = blocks.filter(({ language }) => language === 'js')
  const isPage = blocks.some(({ language, code }) => language === 'tsx' || /from '(vue|svelte)\b/.test(code))
  return [
    ...project(
      'ts',
      blocks.filter(({ language }) => language !== 'js'),
      { lib: isPage ? [...server, 'dom', 'dom.iterable'] : server },
    ),
    // A block without imports is for a browser's console.
    ...project('js', scripts.filter(imports), { ...LOOSE, lib: server }),
    ...project(
      'browser',
      scripts.filter((block) => !imports(block)),
      { ...LOOSE, lib: [...server, 'dom'] },
    ),
  ]
}

// Next.js itself is too large for this; __test__/next/next-build-*.test.mjs build with it.
const STAND_INS = `declare module 'next/server' {
  export function after(task: Promise<unknown> | (() => unknown)): void
}
`
