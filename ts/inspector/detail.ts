import type { DeadChunk, DeadFinished, StreamStatus } from '../../index'
import type { Engine } from '../core/engine'
import { unlessRefused } from '../errors/refused'
import { isSeen, shownTo, type Viewer } from './access'
import type { Row, TimelineEvent } from './answers'
import { excerpt } from './excerpt'
import { logged, reasoned } from './history'
import type { Survey } from './survey'

/** The most dead letters that are shown for a group. */
const LETTERS = 50

/** A stream's status; null if there is none that the viewer may see. */
export async function seen(engine: Engine, viewer: Viewer, streamId: string): Promise<StreamStatus | null> {
  const status = await engine.status(streamId)
  return status !== null && isSeen(viewer, status) ? status : null
}

/** The answer to `api/stream`, for a stream's page. */
export async function detail(
  engine: Engine,
  survey: Survey,
  viewer: Viewer,
  streamId: string,
): Promise<object | null> {
  const status = await seen(engine, viewer, streamId)
  if (status === null) return null
  const [now, groups, memoryBytes] = await Promise.all([
    survey.renew([streamId]),
    engine.groups(streamId),
    unlessRefused(engine.memoryOf(streamId)),
  ])
  const { metadata, ...rest } = status
  const { rate, process, readers } = glanced(viewer, now.get(streamId))
  return {
    ...rest,
    ...(viewer.showData ? { metadata } : {}),
    rate,
    process,
    readers,
    groups: groups ?? [],
    memoryBytes,
    timeline: timeline(status, noticed(survey, viewer, status)),
  }
}

/** What is shown of a survey's stream; it may be gone by then. */
function glanced(viewer: Viewer, stream: Row | null | undefined): Part {
  const nothing = { rate: null, process: null, readers: { here: 0, elsewhere: null } }
  return stream ? shownTo(viewer, stream) : nothing
}

type Part = Pick<Row, 'rate' | 'process' | 'readers'>

/** Events seen by the inspector. An owner gets those of the current generation only: others, and log entries, may concern another owner. */
function noticed(survey: Survey, viewer: Viewer, { streamId, generation }: StreamStatus): TimelineEvent[] {
  const seen = survey.history.of(streamId)
  return viewer.owner === null
    ? [...seen, ...logged(streamId)]
    : seen.filter((each) => each.generation === generation)
}

/** The start and end that the status gives, and other events that were seen. */
function timeline(status: StreamStatus, noticed: TimelineEvent[]): TimelineEvent[] {
  const { streamId, generation, state, reason, startedAt, updatedAt } = status
  const base = { streamId, generation }
  const facts: TimelineEvent[] = [{ ...base, at: startedAt.getTime(), kind: 'start', text: 'started' }]
  if (state !== 'active')
    facts.push({ ...base, at: updatedAt.getTime(), kind: 'end', text: reasoned(state, reason) })
  const known = new Set(facts.map(({ kind }) => kind))
  // Of an event that the status also gives, the status has the exact time.
  const others = noticed
    .filter((each) => each.generation !== generation || !known.has(each.kind))
    // A stop may be seen together with the end that it caused, but it came first.
    .map((each) =>
      each.kind === 'stop' && each.generation === generation && state !== 'active'
        ? { ...each, at: Math.min(each.at, updatedAt.getTime()) }
        : each,
    )
  return [...others, ...facts].sort((one, other) => one.at - other.at)
}

/** The answer to `api/dead`: a group's dead letters. Without a stream, those of the queue of finished generations. */
export async function letters(
  engine: Engine,
  viewer: Viewer,
  group: string,
  streamId: string | null,
): Promise<object | null> {
  const found = await lettersOf(engine, viewer, group, streamId)
  if (found === null) return null
  const shown: object[] = []
  for await (const letter of found) {
    if (shown.length >= LETTERS) return { letters: shown, isCut: true }
    const { deliveries } = letter
    const key = keyOf(letter)
    if ('streamId' in letter) {
      const { outcome, reason } = letter
      shown.push({ key, deliveries, streamId: letter.streamId, cursor: letter.cursor, outcome, reason })
    } else {
      const data = viewer.showData && letter.data !== null ? excerpt(letter.data) : null
      const isGone = letter.data === null
      shown.push({ key, deliveries, seq: letter.seq, cursor: letter.cursor, isGone, data })
    }
  }
  return { letters: shown, isCut: false }
}

/** Null: there is no such stream that the viewer may see. */
export async function lettersOf(
  engine: Engine,
  viewer: Viewer,
  group: string,
  streamId: string | null,
): Promise<AsyncIterable<DeadChunk | DeadFinished> | null> {
  // The queue of finished generations contains those of all owners.
  if (streamId === null) return viewer.owner === null ? engine.deadLetters({ group }) : null
  const status = await seen(engine, viewer, streamId)
  return status && engine.deadLetters({ group, streamId, owner: status.owner ?? undefined })
}

/** Identifies a letter within its group. */
export function keyOf(letter: DeadChunk | DeadFinished): string {
  return 'streamId' in letter ? `${letter.generation} ${letter.streamId}` : letter.cursor
}
