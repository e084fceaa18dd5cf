import {
  allPercent,
  LIVE_SUBJECTS,
  liveChecks,
  liveColumns,
  PEERS,
  subjectsNamed,
  timed,
} from '../live/columns.mjs'
import { together } from '../live/load.mjs'
import { runLive } from '../live/run.mjs'

/** @type {import('./index.mjs').Scenario} */
export const live = {
  title: 'Live, 200 streams at once',
  what: '200 streams × 50 chunks a second, 40 chunks at once every 4 ms, one reader of each stream in another process.',
  subjects: subjectsNamed(LIVE_SUBJECTS),
  peers: PEERS,
  live: { load: 'together', fan: 1 },
  columns: liveColumns,
  aims: [
    { what: 'p99', of: ({ p99 }) => p99, atMost: 1 / 2 },
    {
      what: 'CPU of publisher, readers and Redis above the floor',
      of: allPercent,
      aboveFloor: true,
      atMost: 0.7,
    },
  ],
  checks: liveChecks,
  chart: { axis: 'p99 of the delivery, ms', of: ({ p99 }) => p99 },
  run: (what) => runLive(what.subject, timed(together, what)),
}
