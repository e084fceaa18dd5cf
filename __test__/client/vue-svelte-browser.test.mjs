// The composable, the store and the components of docs/vue.md and docs/svelte.md, compiled and run in a real browser.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { build, transform } from 'esbuild'
import { compile } from 'svelte/compiler'
import { createEngine } from 'tidemark'
import { compileScript, parse } from 'vue/compiler-sfc'
import { startBrowser } from '../support/browser.mjs'
import { listening } from '../support/listening.mjs'
import { PATIENT } from '../support/patient.mjs'
import { reapFolder } from '../support/reaper.mjs'
import { until } from '../support/wait.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const browser = await startBrowser()
const engine = createEngine({ url: 'memory:' })
after(() => engine.close())

let script = ''
let readers = 0
const server = createServer(PATIENT, async (request, response) => {
  const [, kind, id = ''] = request.url?.split(/[/?]/) ?? []
  if (kind === 'script.js') return response.setHeader('content-type', 'text/javascript').end(script)
  if (kind !== 'chats')
    return response.setHeader('content-type', 'text/html').end('<!doctype html><div id=root>')
  if (request.method === 'DELETE') {
    await engine.stop(id)
    return response.writeHead(204).end()
  }
  readers++
  response.on('close', () => readers--)
  await engine.send(request, response, id)
})
const origin = `http://127.0.0.1:${await listening(server)}`

/** A page's blocks as files, and a page of the browser that shows its component. @param {string} page @param {string} main */
async function bundle(page, main) {
  const folder = mkdtempSync(join(tmpdir(), 'tidemark-docs-'))
  reapFolder(folder)
  const text = readFileSync(join(root, 'docs', page), 'utf8')
  for (const [, name = '', code = ''] of text.matchAll(
    /^```\w+\n(?:\/\/|<!--) ([\w./-]+)(?: -->)?\n([\s\S]*?)^```$/gm,
  )) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), code)
  }
  writeFileSync(join(folder, 'main.js'), main)
  const { outputFiles } = await build({
    entryPoints: [join(folder, 'main.js')],
    bundle: true,
    format: 'esm',
    conditions: ['browser'],
    nodePaths: [join(root, 'node_modules')],
    alias: { 'tidemark/client': join(root, 'dist/esm/client.js') },
    define: {
      'process.env.NODE_ENV': '"production"',
      __VUE_OPTIONS_API__: 'true',
      __VUE_PROD_DEVTOOLS__: 'false',
      __VUE_PROD_HYDRATION_MISMATCH_DETAILS__: 'false',
    },
    plugins: [
      { name: 'components', setup: (build) => void build.onLoad({ filter: /\.(vue|svelte)$/ }, compiled) },
    ],
    write: false,
  })
  script = outputFiles[0]?.text ?? ''
}

/** @param {{ path: string }} file @returns {Promise<import('esbuild').OnLoadResult>} */
async function compiled({ path }) {
  const source = readFileSync(path, 'utf8')
  if (path.endsWith('.svelte')) {
    const { js, warnings } = compile(source, { generate: 'client', filename: path })
    assert.deepEqual(warnings, [])
    return { contents: js.code, loader: 'js' }
  }
  const { descriptor, errors } = parse(source, { filename: path })
  assert.deepEqual(errors, [])
  const { content } = compileScript(descriptor, { id: 'answer', inlineTemplate: true })
  return { contents: (await transform(content, { loader: 'ts' })).code, loader: 'js' }
}

const FRAMEWORKS = {
  'vue.md': `
    import { createApp, h, ref } from 'vue'
    import Answer from './Answer.vue'
    const id = ref()
    globalThis.show = (value) => { id.value = value }
    createApp({ render: () => (id.value ? h(Answer, { id: id.value }) : null) }).mount('#root')`,
  'svelte.md': `
    import { mount, unmount } from 'svelte'
    import Answer from './Answer.svelte'
    let shown
    globalThis.show = (id) => {
      if (shown) unmount(shown)
      shown = id && mount(Answer, { target: document.getElementById('root'), props: { id } })
    }`,
}

for (const [page, main] of Object.entries(FRAMEWORKS)) {
  test(`docs/${page}: shown while it comes, stopped, cut off, left`, async () => {
    await bundle(page, main)
    const tab = await browser.newPage()
    const errors = /** @type {string[]} */ ([])
    tab.on('pageerror', (error) => errors.push(String(error)))
    await tab.goto(origin)
    await tab.addScriptTag({ url: `${origin}/script.js`, type: 'module' })
    const text = () => tab.evaluate("document.querySelector('p')?.textContent ?? ''")
    const show = async (/** @type {string | undefined} */ id) => tab.evaluate(`show(${JSON.stringify(id)})`)
    const [first, second, third] = [randomUUID(), randomUUID(), randomUUID()]
    const producer = await engine.produce(first)
    await producer.append('The tide ')
    await show(first)
    await until(async () => (await text()) === 'The tide ')
    await producer.append('rises 🌊')
    await until(async () => (await text()) === 'The tide rises 🌊')
    await tab.getByRole('button', { name: 'Stop' }).click()
    await tab.getByRole('button', { name: 'Stop' }).waitFor({ state: 'detached' })
    assert.equal((await engine.status(first))?.state, 'stopped')

    const other = await engine.produce(second)
    for (let index = 0; index < 2_000; index++) other.write(`${index} `)
    await other.fail(new Error('broken'))
    await show(second)
    await tab.getByRole('alert').waitFor()
    assert.match(String(await text()), /^0 1 2 .* 1999 $/)

    const left = await engine.produce(third)
    await left.append('one')
    await show(third)
    await until(async () => (await text()) === 'one')
    await show(undefined)
    await until(() => readers === 0)
    assert.equal((await engine.status(third))?.state, 'active')
    await left.complete()
    assert.deepEqual(errors, [])
    await tab.close()
  })
}
