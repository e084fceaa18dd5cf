import { allPeers, allPercent, cpuAim, timed } from '../live/columns.mjs'
import { apart as load } from '../live/load.mjs'
import { runLive } from '../live/run.mjs'

/** @type {import('./index.mjs').Scenario} */
export const apart = {
  title: 'Live, chunks that do not coincide',
  what: '60 streams × 50 chunks a second, 3 chunks every ms, so that little can be done in one go: the usual server.',
  ...allPeers,
  live: { load: 'apart', fan: 1 },
  aims: [
    cpuAim(0.6),
    { what: 'p50', of: ({ p50 }) => p50, atMost: 3, isValue: true, unit: 'ms' },
    { what: 'p99', of: ({ p99 }) => p99, atMost: 0.6 },
  ],
  chart: {
    axis: 'CPU of publisher, readers and Redis above the floor, % of a core',
    of: allPercent,
    aboveFloor: true,
  },
  run: (what) => runLive(what.subject, timed(load, what)),
}
