import { allPeers, cpuAim, timed } from '../live/columns.mjs'
import { together } from '../live/load.mjs'
import { runLive } from '../live/run.mjs'

/** @type {import('./index.mjs').Scenario} */
export const fan = {
  title: 'Live, ten readers of each stream',
  what: 'As `live`, with ten readers of each stream, all of them in one process. The hand-made peers parse a message once and give their ten readers the same object; readers of Tidemark get objects of their own.',
  ...allPeers,
  live: { load: 'together', fan: 10 },
  aims: [
    { what: 'p50', of: ({ p50 }) => p50, atMost: 1 },
    { what: 'p99', of: ({ p99 }) => p99, atMost: 1 },
    cpuAim(1),
    {
      what: "the readers' main thread a delivery",
      of: ({ readerUs }) => readerUs,
      aboveFloor: true,
      atMost: 1,
    },
  ],
  chart: { axis: 'p50 of the delivery, ms', of: ({ p50 }) => p50 },
  run: (what) => runLive(what.subject, timed({ ...together, fan: 10 }, what)),
}
