import type { Outcome } from '../../index'
import type { Engine } from '../core/engine'
import { duration, flag, listOf, object, oneOf, required, text } from '../options/checks'
import { consumer, streamId } from '../options/fields'
import type { Viewer } from './access'
import { keyOf, lettersOf, seen } from './detail'

/** Resolves to undefined if the viewer can see nothing of this name. */
type Write = (engine: Engine, viewer: Viewer, body: unknown) => Promise<object | undefined>

const id = { id: streamId }
const stopFields = object({ ...id, reason: text(0, 1024) })
const deleteFields = object(id)
const cleanupFields = object({
  olderThan: duration('0ms', '365d'),
  outcomes: listOf(oneOf('complete', 'failed', 'stopped', 'interrupted')),
  dryRun: flag,
})
const letterFields = object({ ...id, group: consumer, key: text(1, 2048) })

/** The requests that change something, by name: `POST api/<name>`. */
export const WRITES: Readonly<Record<string, Write>> = {
  async stop(engine, viewer, body) {
    const { reason, ...given } = stopFields(body, 'body')
    const found = await seen(engine, viewer, idOf(given))
    if (found === null) return undefined
    // A viewer who may write acts for the stream's owner.
    const owner = found.owner ?? undefined
    return { result: await engine.stop(found.streamId, { reason, owner }) }
  },

  async delete(engine, viewer, body) {
    const found = await seen(engine, viewer, idOf(deleteFields(body, 'body')))
    return found === null ? undefined : { existed: await engine.delete(found.streamId) }
  },

  async cleanup(engine, viewer, body) {
    // A clean-up covers the streams of all owners.
    if (viewer.owner !== null) return undefined
    const { olderThan, dryRun, outcomes } = cleanupFields(body, 'body')
    return engine.cleanup({ olderThan, dryRun, outcomes: outcomes as Outcome[] | undefined })
  },

  retry: (engine, viewer, body) => resolve(engine, viewer, body, 'retry'),
  drop: (engine, viewer, body) => resolve(engine, viewer, body, 'drop'),
}

async function resolve(
  engine: Engine,
  viewer: Viewer,
  body: unknown,
  action: 'retry' | 'drop',
): Promise<object | undefined> {
  const given = letterFields(body, 'body')
  required(given, 'body', 'group', 'key')
  const letters = await lettersOf(engine, viewer, given.group ?? '', given.id ?? null)
  for await (const letter of letters ?? []) {
    if (keyOf(letter) !== given.key) continue
    await letter[action]()
    return {}
  }
  return undefined
}

function idOf(given: { id?: string | undefined }): string {
  required(given, 'body', 'id')
  return given.id ?? ''
}
