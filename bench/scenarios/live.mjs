import { allPeers, cpuAim, timed } from '../live/columns.mjs'
import { together } from '../live/load.mjs'
import { runLive } from '../live/run.mjs'

/** @type {import('./index.mjs').Scenario} */
export const live = {
  title: 'Live, 200 streams at once',
  what: '200 streams × 50 chunks a second, 40 chunks at once every 4 ms, one reader of each stream in another process.',
  ...allPeers,
  live: { load: 'together', fan: 1 },
  aims: [{ what: 'p99', of: ({ p99 }) => p99, atMost: 1 / 2 }, cpuAim(0.7)],
  chart: { axis: 'p99 of the delivery, ms', of: ({ p99 }) => p99 },
  run: (what) => runLive(what.subject, timed(together, what)),
}
