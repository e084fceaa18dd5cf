import { Scene } from '../lib/scene.mjs'

/** @type {import('./index.mjs').Scenario} */
export const inspector = {
  title: 'An open inspector',
  what: 'A process writes 10,000 chunks a second to 1,000 streams of the memory store; the inspector in it is asked for what its page asks for, once a second for each open page.',
  subjects: { tidemark: 'this package' },
  peers: [],
  points: { unit: 'open pages', values: (isQuick) => (isQuick ? [0, 10] : [0, 1, 10]) },
  columns: [
    { head: 'process, % of a core', digits: 1, of: ({ percent }) => percent },
    { head: 'chunks/s', digits: 0, of: ({ rate }) => rate },
  ],
  aims: [],
  checks: [{ what: 'every page was answered', holds: ({ looks, point }) => looks >= Number(point) }],
  chart: { axis: 'CPU of the process, % of a core', of: ({ percent }) => percent },
  run: ({ point: pages, isQuick, seconds }) =>
    Scene.play(async (scene) => {
      const times = {
        warmUpSeconds: isQuick ? 0.3 : 5,
        // Each page asks once a second, so that even a quick run has to last longer.
        seconds: Math.max(1.2, seconds ?? (isQuick ? 1.2 : 15)),
      }
      const server = await scene.start(new URL('../inspector/server.mjs', import.meta.url), {
        streams: 1_000,
        pages,
        ...times,
      })
      const watch = await scene.watch()
      const used = await server.ask('measure', 60_000)
      const { othersPercent, stolenPercent } = await watch.end()
      const percent = used.processUs / used.wallMs / 10
      return {
        percent,
        rate: used.written / (used.wallMs / 1000),
        looks: used.looks,
        othersPercent: othersPercent(percent),
        stolenPercent,
      }
    }),
}
