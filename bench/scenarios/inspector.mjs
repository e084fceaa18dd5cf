import { setTimeout as sleep } from 'node:timers/promises'
import { Scene } from '../lib/scene.mjs'
import { confidence, mean } from '../lib/statistics.mjs'

const STREAMS = 1_000
const AIM_PERCENT = 2
/** The longest pause between two requests of a page. */
const PAUSE_MS = 3_000

/** The differences of all pairs of windows. @param {import('./index.mjs').Run[]} runs @returns {number[]} */
const pairsOf = (runs) => runs.flatMap(({ pairs }) => pairs)

/** @param {string} ours @returns {import('../lib/aims.mjs').Aim} */
const little = (ours) => ({
  what: `\`${ours}\`: of the process's CPU, the inspector's at most`,
  of: ({ costPercent }) => costPercent,
  ours,
  atMost: AIM_PERCENT,
  isValue: true,
  unit: '%',
})

/** @type {import('./index.mjs').Scenario} */
export const inspector = {
  title: 'An open inspector',
  what: "A process writes 10,000 chunks a second to 1,000 streams, with the inspector mounted in it; nobody reads, since readers would make the process busier, and the inspector's part smaller. In every other window, a page in another process asks for the list of streams as a browser does. The inspector's CPU is at most that of all threads of the process while a request or a look at the streams is in hand, whatever else they do in that time: on a busy machine this takes longer, and the bound is loose. Beside it is the whole difference between the windows of each pair, which has garbage in it that is collected later, and all of the machine's noise.",
  subjects: {
    tidemark: 'the memory store, one page',
    'tidemark-redis': 'Redis, one page',
    'tidemark-ten': 'the memory store, ten pages',
  },
  peers: [],
  columns: [
    {
      head: "of the process's CPU, the inspector's at most, %",
      digits: 2,
      of: ({ costPercent }) => costPercent,
    },
    { head: 'ms of CPU a second', digits: 2, of: ({ costMs }) => costMs },
    { head: 'process without it, % of a core', digits: 1, of: ({ percent }) => percent },
    {
      head: 'difference of the windows, %, mean of all pairs ± 95 %',
      text: (runs) =>
        `${mean(pairsOf(runs)).toFixed(1)} ± ${confidence(pairsOf(runs)).toFixed(1)} (${pairsOf(runs).length})`,
    },
    { head: 'chunks/s', digits: 0, of: ({ rate }) => rate },
  ],
  aims: [little('tidemark'), little('tidemark-redis')],
  checks: [{ what: 'the pages were answered as often as they ask', holds: ({ looks, due }) => looks >= due }],
  chart: { axis: "of the process's CPU, the inspector's at most, %", of: ({ costPercent }) => costPercent },
  run: ({ subject, isQuick, seconds }) =>
    Scene.play(async (scene) => {
      const windowMs = 1_000 * (seconds ?? (isQuick ? 1.5 : 10))
      const count = isQuick ? 1 : 2
      const pages = subject === 'tidemark-ten' ? 10 : 1
      const store = subject === 'tidemark-redis' ? 'redis' : 'memory'
      const server = await scene.start(
        new URL('../inspector/server.mjs', import.meta.url),
        { streams: STREAMS, store },
        30_000,
      )
      const browser = await scene.start(new URL('../inspector/pages.mjs', import.meta.url), {
        url: `http://127.0.0.1:${server.said.port}`,
        pages,
      })
      let looks = 0
      /** @param {boolean} isOpen */
      const window = async (isOpen) => {
        const before = await server.ask('used')
        if (isOpen) await browser.ask('open')
        await sleep(windowMs)
        if (isOpen) looks += await browser.ask('close')
        const after = await server.ask('used')
        const of = (/** @type {string} */ what) => after[what] - before[what]
        const ms = of('atMs')
        return {
          ms,
          chunks: of('written'),
          percent: of('processUs') / ms / 10,
          inHandPercent: of('inHandUs') / ms / 10,
        }
      }
      // The code that a page runs is compiled, and has been called often, before anything counts.
      if (!isQuick) for (const isOpen of [false, true]) await window(isOpen)
      looks = 0
      const watch = await scene.watch()
      const windows = []
      for (let pair = 0; pair < count; pair++) {
        // Each order as often as the other: what grows while it runs counts for neither.
        const isFirst = pair % 2 === 1
        const [first, second] = [await window(isFirst), await window(!isFirst)]
        windows.push(isFirst ? { on: first, off: second } : { on: second, off: first })
      }
      const { besides } = await watch.end()
      const percent = mean(windows.map(({ off }) => off.percent))
      const cost = mean(windows.map(({ on }) => on.inHandPercent))
      const all = windows.flatMap(({ on, off }) => [on, off])
      return {
        percent,
        costPercent: (100 * cost) / percent,
        costMs: 10 * cost,
        pairs: windows.map(({ on, off }) => (100 * (on.percent - off.percent)) / off.percent),
        rate: mean(all.map(({ chunks, ms }) => (1_000 * chunks) / ms)),
        looks,
        due: pages * count * Math.max(1, Math.floor(windowMs / (1.5 * PAUSE_MS))),
        ...besides(mean(all.map((each) => each.percent))),
      }
    }),
}
