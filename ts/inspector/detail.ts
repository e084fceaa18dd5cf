import type { DeadChunk, DeadFinished, StreamStatus } from '../../index'
import type { Engine } from '../core/engine'
import { unlessRefused } from '../errors/refused'
import { isSeen, type Viewer } from './access'
import type { Happening } from './answers'
import { excerpt } from './excerpt'
import { logged, reasoned } from './history'
import type { Survey } from './survey'

/** Dead letters of one group that are shown. */
const LETTERS = 50

/** A stream that the viewer may see, or null. */
export async function seen(engine: Engine, viewer: Viewer, streamId: string): Promise<StreamStatus | null> {
  const status = await engine.status(streamId)
  return status !== null && isSeen(viewer, status) ? status : null
}

/** What a stream's page shows: `api/stream`. */
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
  return {
    ...rest,
    ...(viewer.showData ? { metadata } : {}),
    rate: now.get(streamId)?.rate ?? null,
    groups: groups ?? [],
    memoryBytes,
    timeline: timeline(status, noticed(survey, viewer, status)),
  }
}

/** For an owner, no more than of the generation that is theirs: what the log tells, and what was here before, may be others'. */
function noticed(survey: Survey, viewer: Viewer, { streamId, generation }: StreamStatus): Happening[] {
  const seen = survey.history.of(streamId)
  return viewer.owner === null
    ? [...seen, ...logged(streamId)]
    : seen.filter((each) => each.generation === generation)
}

/** What the stream itself says of its last generation, and what was noticed beside that. */
function timeline(status: StreamStatus, noticed: Happening[]): Happening[] {
  const { streamId, generation, state, reason, startedAt, updatedAt } = status
  const base = { streamId, generation }
  const facts: Happening[] = [{ ...base, at: startedAt.getTime(), kind: 'start', text: 'started' }]
  if (state !== 'active')
    facts.push({ ...base, at: updatedAt.getTime(), kind: 'end', text: reasoned(state, reason) })
  const known = new Set(facts.map(({ kind }) => kind))
  // The stream knows better when.
  const others = noticed
    .filter((each) => each.generation !== generation || !known.has(each.kind))
    // A stop that was noticed together with the end that it led to came before it.
    .map((each) =>
      each.kind === 'stop' && each.generation === generation && state !== 'active'
        ? { ...each, at: Math.min(each.at, updatedAt.getTime()) }
        : each,
    )
  return [...others, ...facts].sort((one, other) => one.at - other.at)
}

/** The dead letters of a group: `api/dead`. Without a stream, those of finished generations. */
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

/** Null: there is no such stream, or it is not this viewer's. */
export async function lettersOf(
  engine: Engine,
  viewer: Viewer,
  group: string,
  streamId: string | null,
): Promise<AsyncIterable<DeadChunk | DeadFinished> | null> {
  // The queue of finished generations is everybody's.
  if (streamId === null) return viewer.owner === null ? engine.deadLetters({ group }) : null
  const status = await seen(engine, viewer, streamId)
  return status && engine.deadLetters({ group, streamId, owner: status.owner ?? undefined })
}

/** Tells a group's letters apart. */
export function keyOf(letter: DeadChunk | DeadFinished): string {
  return 'streamId' in letter ? `${letter.generation} ${letter.streamId}` : letter.cursor
}
