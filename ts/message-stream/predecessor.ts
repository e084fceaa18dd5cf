import type { Engine } from '../core/engine'
import { StoreError } from '../errors/errors'
import type { StreamMessage } from '../schema/message-events'
import { isRecord } from '../util/record'

/** `src/legacy/mod.rs`. */
interface OldEvents {
  events: string[]
  next: string
  more: boolean
}

/** `src/legacy/mod.rs`. */
export interface OldChat {
  events: number
  first: string
  last: string
  lastEvent: string
  idleMs: number
  since: number | null
  ttlMs: number | null
}

/** A producer of the previous backend that has been silent for this long is dead. */
const ABANDONED_MS = 5 * 60_000

/** If the search is disabled or not allowed, the answer is that there never was a predecessor. */
async function ask<T>(engine: Engine, question: object): Promise<T | null> {
  if (process.env.TIDEMARK_PREDECESSOR === 'off') return null
  try {
    return await engine.predecessor(question)
  } catch (error) {
    if (error instanceof StoreError && !error.retryable) return null
    throw error
  }
}

/** What the previous backend has left of a chat; null where there never was one. */
export function oldEvents(
  engine: Engine,
  chat: string,
  after: string,
  since: number,
): Promise<OldEvents | null> {
  return ask(engine, { ask: 'events', chat, after, since })
}

export function oldChat(engine: Engine, chat: string): Promise<OldChat | null> {
  return ask(engine, { ask: 'look', chat })
}

/** Removes the keys of a chat, and its stop flag; how many there were. */
export async function cleanOld(engine: Engine, chat: string): Promise<number> {
  return (await ask<number>(engine, { ask: 'clean', chat })) ?? 0
}

export function isOldChatOver(chat: OldChat): boolean {
  return chat.idleMs >= ABANDONED_MS || isComplete(parseOld(chat.lastEvent))
}

/** The chats that have a stream, each once. */
export async function* oldChats(engine: Engine): AsyncGenerator<string, undefined> {
  const seen = new Set<string>()
  for (let after: string | null = ''; after !== null; ) {
    const page: { chats: string[]; next: string | null } | null = await ask(engine, {
      ask: 'chats',
      after,
    })
    for (const chat of page?.chats ?? []) if (!seen.has(chat) && seen.add(chat)) yield chat
    after = page?.next ?? null
  }
  return undefined
}

/** Whether the stop flag is set; null where there is none to be set. */
export function readFlag(engine: Engine, chat: string): Promise<boolean | null> {
  return ask(engine, { ask: 'flag', chat })
}

export async function setFlag(engine: Engine, chat: string, to: boolean): Promise<void> {
  await ask(engine, { ask: 'setFlag', chat, to })
}

export function isComplete(event: Pick<StreamMessage, 'type'> | undefined): boolean {
  return event?.type === 'aiMessageComplete' || event?.type === 'messageComplete'
}

/** An event of either generation: JSON, or what superjson makes of it. Undefined for what is neither. */
export function parseOld(text: string): StreamMessage | undefined {
  try {
    const value = JSON.parse(text)
    const event = isRecord(value) && isRecord(value.json) ? revived(value.json, value.meta) : value
    return isRecord(event) && typeof event.type === 'string' ? (event as unknown as StreamMessage) : undefined
  } catch {
    return undefined
  }
}

type Json = Record<string, unknown>

/**
 * Puts back what superjson took note of: a tree of fields whose leaves say what JSON could not. Dates and `undefined` are
 * all that messages hold of it.
 */
function revived(json: Json, meta: unknown): Json {
  if (isRecord(meta) && isRecord(meta.values)) revive(json, meta.values)
  return json
}

function revive(target: Json, tree: Json): void {
  for (const [path, note] of Object.entries(tree)) {
    // Dots within a field's name are escaped.
    const fields = path.split(/(?<!\\)\./).map((field) => field.replace(/\\(.)/g, '$1'))
    const last = fields.pop() as string
    const holder = fields.reduce<unknown>(ownField, target)
    const value = ownField(holder, last)
    if (value === undefined) continue
    const [kind, children] = Array.isArray(note) ? note : [undefined, note]
    if (isRecord(children) && typeof value === 'object' && value !== null) revive(value as Json, children)
    if (kind === 'Date') (holder as Json)[last] = new Date(value as string)
    else if (kind === 'undefined') (holder as Json)[last] = undefined
  }
}

/** What was in the event's JSON, and never what objects inherit: that belongs to the whole process. */
function ownField(holder: unknown, field: string): unknown {
  if (typeof holder !== 'object' || holder === null || !Object.hasOwn(holder, field)) return undefined
  return (holder as Json)[field]
}
