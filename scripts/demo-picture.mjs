// `node scripts/demo-picture.mjs`: plays the demo in a real browser and makes README's moving picture of it, docs/demo.gif: an answer
// grows, the page is reloaded in the middle of a sentence, a second reader comes, somebody presses Stop.

import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import { chromiumPackage, findChromium } from './browsers.mjs'
import { runMain, setup } from './setup.mjs'
import { root, SetupError, say } from './steps.mjs'

const SIZE = { width: 960, height: 720 }
/** The duration of a frame in which nothing happens. */
const FRAME_MS = 300
const COLOURS = 48
/** The colour index of a pixel that is the same as in the previous frame. */
const UNCHANGED = COLOURS
/** The limit for a file in the repository. */
const MOST_BYTES = 1_500_000

/** Runs in the browser, which can read a PNG. */
const DECODE = `async (png) => {
  const blob = await (await fetch('data:image/png;base64,' + png)).blob()
  const image = await createImageBitmap(blob)
  const canvas = new OffscreenCanvas(image.width, image.height)
  const context = canvas.getContext('2d')
  context.drawImage(image, 0, 0)
  const { data } = context.getImageData(0, 0, image.width, image.height)
  let text = ''
  for (let at = 0; at < data.length; at += 32768) text += String.fromCharCode(...data.subarray(at, at + 32768))
  return btoa(text)
}`

await runMain(async () => {
  await setup()
  const executablePath = findChromium()
  if (!executablePath) throw chromiumPackage.error('there is none')
  const demo = await startDemo()
  const profile = mkdtempSync(join(tmpdir(), 'tidemark-picture-'))
  const context = await chromium.launchPersistentContext(profile, {
    executablePath,
    headless: true,
    args: ['--no-sandbox', '--disable-gpu'],
    viewport: SIZE,
    colorScheme: 'light',
  })
  try {
    const page = await context.newPage()
    const frames = await play(page, demo.url)
    await page.goto('about:blank')
    const pictures = []
    for (const frame of frames) pictures.push(await pixels(page, frame))
    const gif = encode(pictures, frames)
    if (gif.length > MOST_BYTES) throw new SetupError(`the picture has ${gif.length} bytes: too many`)
    writeFileSync(join(root, 'docs', 'demo.gif'), gif)
    say(`docs/demo.gif … ${frames.length} frames, ${Math.round(gif.length / 1024)} KiB`)
  } finally {
    await context.close()
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 })
    demo.child.kill()
  }
  return 0
})

/** @returns {Promise<{ child: import('node:child_process').ChildProcess, url: string }>} */
async function startDemo() {
  const { REDIS_URL: _, TIDEMARK_URL: __, KV_URL: ___, ...env } = process.env
  const main = process.env.DEMO ?? join(root, 'examples', 'demo', 'main.mjs')
  const child = spawn(process.execPath, [main, '--rate', '26'], { env, stdio: ['ignore', 'pipe', 2] })
  let text = ''
  const url = await new Promise((/** @type {(url: string | undefined) => void} */ resolve) => {
    child.stdout?.setEncoding('utf8').on('data', (piece) => {
      text += piece
      const [found] = /https?:\/\/\S+/.exec(text) ?? []
      if (found) resolve(found)
    })
    child.on('close', () => resolve(undefined))
  })
  if (!url) throw new SetupError(`the demo has not said where it is:\n${text}`)
  return { child, url }
}

/** @typedef {{ png: Buffer, ms: number }} Frame */

/** @param {import('playwright-core').Page} page @param {string} url @returns {Promise<Frame[]>} */
async function play(page, url) {
  /** @type {Frame[]} */
  const frames = []
  const watch = async (/** @type {number} */ count, ms = FRAME_MS) => {
    for (let frame = 0; frame < count; frame += 1) {
      frames.push({ png: await page.screenshot(), ms })
      await page.waitForTimeout(FRAME_MS / 2)
    }
  }
  const press = async (/** @type {string} */ name) => {
    const button = page.getByRole('button', { name, exact: true })
    if (await button.isVisible()) await button.click()
  }
  await page.goto(url)
  await watch(1, 1200)
  await press('Start')
  await watch(13)
  await page.reload()
  await watch(1, 1500) // what was replayed stands there at once
  await watch(8)
  await press('Second reader')
  await watch(1, 1200)
  await watch(6)
  await press('Stop')
  await watch(3)
  await watch(1, 2500)
  return frames
}

/** The colours of a picture, row by row. @param {import('playwright-core').Page} page @param {Frame} frame @returns {Promise<Uint8Array>} */
async function pixels(page, { png }) {
  const encoded = await page.evaluate(`(${DECODE})('${png.toString('base64')}')`)
  return new Uint8Array(Buffer.from(/** @type {string} */ (encoded), 'base64'))
}

/** One palette for all frames; each says only what has changed. @param {Uint8Array[]} pictures @param {Frame[]} frames */
function encode(pictures, frames) {
  const { GIFEncoder, quantize, applyPalette } = createRequire(import.meta.url)('gifenc') // has no types
  const all = Buffer.concat(
    [pictures[0], pictures.at(-1), pictures[pictures.length >> 1]].map((one) => Buffer.from(one ?? [])),
  )
  const palette = quantize(all, COLOURS)
  while (palette.length <= UNCHANGED) palette.push([0, 0, 0])
  const gif = GIFEncoder()
  /** @type {Uint8Array | undefined} */
  let before
  for (const [at, picture] of pictures.entries()) {
    const index = applyPalette(picture, palette.slice(0, COLOURS))
    const last = before
    const drawn = last
      ? index.map((/** @type {number} */ colour, /** @type {number} */ place) =>
          colour === last[place] ? UNCHANGED : colour,
        )
      : index
    gif.writeFrame(drawn, SIZE.width, SIZE.height, {
      palette: at === 0 ? palette : undefined,
      delay: frames[at]?.ms,
      transparent: at > 0,
      transparentIndex: UNCHANGED,
      dispose: 1,
    })
    before = index
  }
  gif.finish()
  return gif.bytes()
}
