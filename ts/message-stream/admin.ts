import type { StreamStatus } from '../../index'
import type { Engine } from '../core/engine'
import { called } from '../errors/errors'
import { streamId } from '../options/fields'
import { cursorAt } from '../util/cursor'
import { defaultEngine, keysOf, oldKeysOf } from './default-engine'
import { cleanupOptions, stopOptions } from './options'
import {
  cleanOld,
  isComplete,
  isOldChatOver,
  type OldChat,
  oldChat,
  oldChats,
  parseOld,
  setFlag,
} from './predecessor'
import type {
  ActiveMessageChunkStream,
  AllMessageChunkStreamMetrics,
  CleanupAllResult,
  CleanupOptions,
  CleanupResult,
  MessageChunkStreamMetrics,
  StopOptions,
} from './types'

const CLEANED_AT_ONCE = 100

/** How long a stop that comes before the start is kept. */
const STOP_KEPT = '5m'

/**
 * Stops a chat's run, wherever it is, or the one that starts within five minutes. Returns true if a run is or may be stopped, false if
 * the chat's last run had ended already. Readers find `reason` in their `reason`.
 */
export async function stopMessageChunkStream(
  chatId: string,
  reason?: string,
  options: StopOptions = {},
): Promise<boolean> {
  const [id, { owner }] = called(
    stopMessageChunkStream,
    () => [streamId(chatId, 'chatId'), stopOptions(options, 'options')] as const,
  )
  const engine = defaultEngine()
  const result = await engine.stop(id, { reason, owner, keep: STOP_KEPT })
  if (result === 'kept') {
    // A chat that is unknown here may be run by a server of the previous backend. That knows no owners: raised for nobody, its
    // flag would let a stranger stop the next run here.
    const old = await oldChat(engine, id)
    if (old !== null && !isOldChatOver(old)) await setFlag(engine, id, true)
  }
  return result !== 'ended'
}

/** The chats whose events are kept, those of the previous backend included. */
export async function getActiveMessageChunkStreams(): Promise<ActiveMessageChunkStream[]> {
  const all = await everyChat(defaultEngine())
  return all
    .filter(({ totalEvents }) => totalEvents > 0)
    .map(({ chatId, streamKey }) => ({ streamId: chatId, chatId, jobId: streamKey }))
}

/** Returns the data of a chat, or null if there is none. */
export async function getMessageChunkStreamMetrics(
  chatId: string,
): Promise<MessageChunkStreamMetrics | null> {
  const id = streamId(chatId, 'chatId')
  const engine = defaultEngine()
  const [status, memoryBytes] = await Promise.all([engine.status(id), engine.memoryOf(id)])
  if (status !== null) return { ...metricsOf(status), memoryBytes }
  const old = await oldChat(engine, id)
  return old && metricsOfOld(id, old)
}

export async function getAllMessageChunkStreamMetrics(): Promise<AllMessageChunkStreamMetrics> {
  const engine = defaultEngine()
  const chats = await everyChat(engine)
  const activeStreams = chats.filter(({ isCompleted }) => !isCompleted).length
  const { resumeHits, resumeMisses } = engine.metrics()
  const resumes = resumeHits + resumeMisses
  return {
    totalChats: chats.length,
    chats,
    activeStreams,
    resumeHits,
    resumeMisses,
    resumeHitRatio: resumes === 0 ? null : resumeHits / resumes,
  }
}

/** Removes a chat's stream, and the keys that the previous backend has left of it, unless it is being written. */
export async function cleanupInactiveMessageChunkStreams(
  chatId: string,
  options: CleanupOptions = {},
): Promise<CleanupResult> {
  const id = streamId(chatId, 'chatId')
  const { force = false } = cleanupOptions(options, 'options')
  const [result] = await clean(defaultEngine(), [id], force)
  return result as CleanupResult
}

/** The same for all chats. */
export async function cleanupAllInactiveMessageChunkStreams(
  options: CleanupOptions = {},
): Promise<CleanupAllResult> {
  const { force = false } = cleanupOptions(options, 'options')
  const engine = defaultEngine()
  const ids = (await everyChat(engine)).map(({ chatId }) => chatId)
  const details: CleanupResult[] = []
  for (let at = 0; at < ids.length; at += CLEANED_AT_ONCE) {
    details.push(...(await clean(engine, ids.slice(at, at + CLEANED_AT_ONCE), force)))
  }
  const totalRemoved = details.reduce((sum, { removedKeys }) => sum + removedKeys, 0)
  return { totalChats: details.length, totalRemoved, details }
}

async function clean(engine: Engine, chatIds: string[], force: boolean): Promise<CleanupResult[]> {
  const swept = await engine.sweep(chatIds, force)
  const results: CleanupResult[] = []
  for (const [index, chatId] of chatIds.entries()) {
    let removedKeys = swept[index] === 'removed' ? 1 : 0
    const old = swept[index] === 'live' ? null : await oldChat(engine, chatId)
    if (old !== null && (force || isOldChatOver(old))) removedKeys += await cleanOld(engine, chatId)
    results.push({ chatId, removedKeys })
  }
  return results
}

async function everyChat(engine: Engine): Promise<MessageChunkStreamMetrics[]> {
  const chats = new Map<string, MessageChunkStreamMetrics>()
  for await (const status of engine.streams()) chats.set(status.streamId, metricsOf(status))
  for await (const chatId of oldChats(engine)) {
    const old = chats.has(chatId) ? null : await oldChat(engine, chatId)
    if (old !== null) chats.set(chatId, metricsOfOld(chatId, old))
  }
  return [...chats.values()]
}

function metricsOf(status: StreamStatus): MessageChunkStreamMetrics {
  const {
    streamId: chatId,
    state,
    generation,
    firstSeq,
    lastSeq,
    bytes,
    startedAt,
    updatedAt,
    ttlMs,
  } = status
  const count = lastSeq - firstSeq + 1
  return {
    chatId,
    totalEvents: count,
    totalMessages: count,
    isCompleted: state !== 'active',
    ttlSeconds: Math.ceil(ttlMs / 1000),
    ...keysOf(chatId),
    firstMessageId: count === 0 ? null : cursorAt(generation, firstSeq),
    lastMessageId: count === 0 ? null : cursorAt(generation, lastSeq),
    oldestTimestamp: startedAt.toISOString(),
    newestTimestamp: updatedAt.toISOString(),
    ageSeconds: secondsSince(startedAt.getTime()),
    totalBytes: bytes,
    averageEventBytes: count === 0 ? 0 : bytes / count,
    memoryBytes: null,
    state,
  }
}

function metricsOfOld(chatId: string, old: OldChat): MessageChunkStreamMetrics {
  const { events, since, idleMs, ttlMs } = old
  return {
    chatId,
    totalEvents: events,
    totalMessages: events,
    isCompleted: isComplete(parseOld(old.lastEvent)),
    // As Redis says that a key does not expire.
    ttlSeconds: ttlMs === null ? -1 : Math.ceil(ttlMs / 1000),
    ...oldKeysOf(chatId),
    firstMessageId: old.first,
    lastMessageId: old.last,
    oldestTimestamp: since === null ? null : new Date(since).toISOString(),
    newestTimestamp: since === null ? null : new Date(Date.now() - idleMs).toISOString(),
    ageSeconds: since === null ? null : secondsSince(since),
    totalBytes: null,
    averageEventBytes: null,
    memoryBytes: null,
    state: null,
  }
}

function secondsSince(ms: number): number {
  return Math.max(0, Math.floor((Date.now() - ms) / 1000))
}
