// `npm run first-hour`: does what a new user does, in a folder without any part of this checkout: installs the packed tarballs,
// pastes README's quick start, starts it, asks, hangs up, resumes; then the same with docs/next.md in a new Next.js application
// in TypeScript.
//
//   node scripts/first-hour.mjs [readme] [next]   without names: both
//
// What is pasted is not changed, except for the port in README, and the parts that docs/next.md leaves to the user: the model, and
// who asks.

import { spawn } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { blocksOf } from './doc-blocks.mjs'
import { freePort } from './free-port.mjs'
import { findNode22 } from './node22.mjs'
import { pack } from './pack.mjs'
import { runMain, setup } from './setup.mjs'
import { isMain, SetupError, say, seconds } from './steps.mjs'

const QUIET = ['--no-audit', '--no-fund', '--loglevel=error']

const chapters = { readme, next }

/** @param {string} step what is done @param {() => Promise<void>} work */
async function tell(step, work) {
  const start = performance.now()
  await work()
  say(`  ${step} … ${seconds(start)}`)
}

/** @param {string} folder @param {string[]} tarballs */
async function readme(folder, tarballs) {
  const [block] = blocksOf('README.md')
  if (!block?.pasted.includes('listen(3500')) throw new Error('README begins with a quick start on port 3500')
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n')
  await tell('npm install of the tarballs', () => command(folder, 'npm', 'install', ...QUIET, ...tarballs))

  const port = await freePort()
  writeFileSync(join(folder, 'server.mjs'), block.pasted.replaceAll('3500', String(port)))
  const server = start(folder, process.execPath, ['server.mjs'], {
    REDIS_URL: '',
    KV_URL: '',
    TIDEMARK_URL: '',
  })
  await server.says('curl -N localhost')
  const url = `http://localhost:${port}/`

  await tell('curl, and Ctrl-C', async () => {
    const first = await curl(url, [], 4)
    check(first[0]?.data === 'Tides ', `the answer begins with its first word: ${first[0]?.data}`)
    const again = await curl(url, [], 6)
    check(
      first.every(({ id, data }, at) => again[at]?.id === id && again[at]?.data === data),
      'the same again',
    )
  })
  await tell('curl with the last id', async () => {
    const whole = await curl(url, [], 8)
    const rest = await curl(url, ['-H', `Last-Event-ID: ${whole[3]?.id}`], 4)
    check(rest[0]?.id === whole[4]?.id, 'what follows the id, and nothing before it')
    check(
      rest.every(({ id }, at) => id === whole[at + 4]?.id),
      'nothing twice, nothing left out',
    )
  })
  server.end()
}

/** @param {string} folder @param {string[]} tarballs */
async function next(folder, tarballs) {
  await setup(['node22'])
  const node = /** @type {string} */ (findNode22())
  const manifest = { private: true, dependencies: PACKAGES }
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest))
  write(folder, 'tsconfig.json', JSON.stringify(TSCONFIG))
  write(folder, 'app/layout.tsx', LAYOUT)
  write(folder, 'app/page.tsx', PAGE)
  write(folder, 'yours.ts', YOURS)
  for (const { file, pasted } of blocksOf('docs/next.md').filter(
    ({ file }) => !basename(file).startsWith('block-'),
  )) {
    const isRoutes = file === 'lib/chat.ts'
    write(folder, file, isRoutes ? `import { model, ownerOf, session } from '@/yours'\n${pasted}` : pasted)
  }
  await tell('npm install of Next.js and the tarballs', () =>
    command(folder, 'npm', 'install', ...QUIET, ...tarballs),
  )
  const bin = join('node_modules', 'next', 'dist', 'bin', 'next')
  await tell('next build', () => command(folder, node, bin, 'build'))

  const port = await freePort()
  const env = { REDIS_URL: '', KV_URL: '', TIDEMARK_URL: '' }
  const server = start(folder, node, [bin, 'start', '--port', String(port)], env)
  await server.says('Ready')
  const url = `http://localhost:${port}`
  await tell('the page, a question, hanging up, and resuming', async () => {
    const page = await (await fetch(url)).text()
    check(page.includes('<form'), 'the page is shown')
    const hangUp = new AbortController()
    const asked = await fetch(`${url}/api/chat`, { method: 'POST', body: QUESTION, signal: hangUp.signal })
    check(asked.status === 200, `the question is taken: ${asked.status}`)
    await asked.body?.getReader().read()
    hangUp.abort()
    const resumed = await (await fetch(`${url}/api/chat/c/stream?after=q`)).text()
    const words = [...resumed.matchAll(/"delta":"([^"]*)"/g)].map(([, word]) => word).join('')
    check(words === 'The tide comes back.', `all of the answer, once: ${words}`)
  })
  server.end()
}

const PACKAGES = {
  '@ai-sdk/react': '4.0.177',
  ai: '7.0.173',
  next: '16.4.6',
  react: '19.3.1',
  'react-dom': '19.3.1',
  '@types/node': '20.19.43',
  '@types/react': '19.3.3',
  typescript: '5.9.3',
}

// What create-next-app writes.
const TSCONFIG = {
  compilerOptions: {
    target: 'ES2017',
    lib: ['dom', 'dom.iterable', 'esnext'],
    allowJs: true,
    skipLibCheck: true,
    strict: true,
    noEmit: true,
    esModuleInterop: true,
    module: 'esnext',
    moduleResolution: 'bundler',
    resolveJsonModule: true,
    isolatedModules: true,
    jsx: 'react-jsx',
    incremental: true,
    plugins: [{ name: 'next' }],
    paths: { '@/*': ['./*'] },
  },
  include: ['next-env.d.ts', '**/*.ts', '**/*.tsx', '.next/types/**/*.ts', '.next/dev/types/**/*.ts'],
  exclude: ['node_modules'],
}
const LAYOUT = `import type { ReactNode } from 'react'
export default function Layout({ children }: { children: ReactNode }) {
  return <html lang="en"><body>{children}</body></html>
}
`
const PAGE = `import { Chat } from './chat'
export default function Page() {
  return <Chat id="c" />
}
`
const YOURS = `import { simulateReadableStream } from 'ai'
import { MockLanguageModelV4 } from 'ai/test'

const words = ['The ', 'tide ', 'comes ', 'back.']
export const model = new MockLanguageModelV4({
  doStream: async () => ({
    stream: simulateReadableStream({
      chunkDelayInMs: 100,
      chunks: [
        { type: 'text-start', id: '1' },
        ...words.map((delta) => ({ type: 'text-delta' as const, id: '1', delta })),
        { type: 'text-end', id: '1' },
        {
          type: 'finish',
          finishReason: { unified: 'stop', raw: undefined },
          usage: {
            inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 },
            outputTokens: { total: 4, text: 4, reasoning: 0 },
          },
        },
      ],
    }),
  }),
})
export const session = async (_: Request) => ({ userId: 'ann' })
export const ownerOf = async (_: string, { userId }: { userId: string }) => userId
`
const QUESTION = JSON.stringify({
  id: 'c',
  messages: [{ id: 'q', role: 'user', parts: [{ type: 'text', text: 'Does it?' }] }],
})

/** @param {unknown} isSo @param {string} what */
function check(isSo, what) {
  if (!isSo) throw new SetupError(`FAILED: ${what}`)
}

/** @param {string} folder @param {string} file @param {string} text */
function write(folder, file, text) {
  mkdirSync(dirname(join(folder, file)), { recursive: true })
  writeFileSync(join(folder, file), text)
}

/**
 * The first events of a response; then curl is interrupted.
 * @param {string} url @param {string[]} args @param {number} count
 * @returns {Promise<{ id: string, data: string }[]>}
 */
async function curl(url, args, count) {
  const child = start('.', 'curl', ['-sN', '--max-time', '30', ...args, url])
  try {
    const text = await child.says((text) => events(text).length >= count)
    return events(text).slice(0, count)
  } finally {
    child.end('SIGINT')
  }
}

/** @param {string} text */
const events = (text) =>
  [...text.matchAll(/^id: (.*)\ndata: (.*)\n\n/gm)].map(([, id = '', data = '']) => ({ id, data }))

/** @type {Set<import('node:child_process').ChildProcess>} */
const children = new Set()

/** Starts a program that ends with this one. @param {string} cwd @param {string} program @param {string[]} args @param {NodeJS.ProcessEnv} [extra] */
function start(cwd, program, args, extra) {
  const { NODE_TEST_CONTEXT: _, NODE_ENV: __, NODE_OPTIONS: ___, ...env } = process.env
  const shell = process.platform === 'win32' && program === 'npm'
  const child = spawn(program, args, {
    cwd,
    shell,
    env: { ...env, NEXT_TELEMETRY_DISABLED: '1', ...extra },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  children.add(child)
  let text = ''
  /** @type {Set<() => void>} */
  const listeners = new Set()
  const closed = new Promise((/** @type {(code: number | null) => void} */ resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => {
      children.delete(child)
      resolve(code)
      for (const listener of listeners) listener()
    })
  })
  closed.catch(() => {})
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (/** @type {string} */ more) => {
      text += more
      for (const listener of listeners) listener()
    })
  return {
    closed,
    output: () => text,
    /** Waits until its output has this. @param {string | ((text: string) => boolean)} what @returns {Promise<string>} */
    async says(what) {
      const has = typeof what === 'string' ? () => text.includes(what) : () => what(text)
      const timer = setTimeout(() => child.kill(), 60_000)
      while (!has() && child.exitCode === null && child.signalCode === null)
        await Promise.race([closed, new Promise((resolve) => listeners.add(() => resolve(undefined)))])
      clearTimeout(timer)
      check(has(), `${program} ${args.join(' ')} has said no more than:\n${text}`)
      return text
    },
    /** @param {NodeJS.Signals} [signal] */
    end: (signal = 'SIGTERM') => void child.kill(signal),
  }
}

/** Runs a program to its end. @param {string} cwd @param {string} program @param {string[]} args */
async function command(cwd, program, ...args) {
  const child = start(cwd, program, args)
  const code = await child.closed
  check(code === 0, `${program} ${args.join(' ')} ended with ${code}:\n${child.output()}`)
}

/** @param {(keyof typeof chapters)[]} names */
export async function firstHour(names) {
  const tarballs = (await pack()).map(({ file }) => file)
  for (const name of names) {
    say(`\n${name}:`)
    const start = performance.now()
    const folder = mkdtempSync(join(tmpdir(), `tidemark-first-hour-${name}-`))
    const here = tarballs.map((file) => {
      cpSync(file, join(folder, basename(file)))
      return `./${basename(file)}`
    })
    try {
      await chapters[name](folder, here)
    } finally {
      for (const child of children) child.kill('SIGKILL')
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
    }
    say(`${name}: done, ${seconds(start)}`)
  }
}

if (isMain(import.meta.url)) {
  process.on('exit', () => {
    for (const child of children) child.kill('SIGKILL')
  })
  await runMain(async () => {
    const all = /** @type {(keyof typeof chapters)[]} */ (Object.keys(chapters))
    const chosen = /** @type {typeof all} */ (process.argv.slice(2))
    const unknown = chosen.find((name) => !all.includes(name))
    if (unknown) throw new SetupError(`unknown part ${unknown}; there are ${all.join(', ')}`)
    await firstHour(chosen.length > 0 ? chosen : all)
    return 0
  })
}
