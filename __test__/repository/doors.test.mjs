// The rooms of src/ and ts/ have doors that open one way: an import against the arrows, or in a circle, is refused (ADR 34).

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { importsOf, sources } from '../support/imports.mjs'

/**
 * Each room, or file with doors of its own, and the rooms or files of the same language that it may import from. The files
 * at the root of ts/ are the entry points, which may import from all rooms.
 */
const DOORS = /** @type {Record<string, string>} */ ({
  'src/lib': 'config error model',
  'src/error': '',
  'src/util': '',
  'src/model': 'error',
  'src/config': 'model',
  'src/redis': 'config error model/connection util',
  'src/store': 'error model util',
  'src/store/memory': 'store error model util',
  'src/store/redis': 'legacy redis store config error model util',
  'src/store/open': 'legacy store/memory store/redis store config error',
  'src/legacy': 'store redis/fields error',
  'src/sse': 'error model',
  'src/engine': 'legacy sse store store/open config error model util',
  'src/binding': 'legacy engine sse store config error model util',

  'ts/util': '',
  'ts/errors': 'util',
  'ts/options': 'errors util',
  'ts/native': 'options errors util',
  'ts/http': 'native options errors util',
  'ts/core': 'http native options errors util',
  'ts/schema': 'errors util',
  'ts/messages': '',
  'ts/client': 'util',
  'ts/ai': 'client messages util',
  'ts/react': 'ai client util',
  'ts/next': 'core http messages options errors util',
  'ts/message-stream': 'core schema native options errors util',
  'ts/resumable-stream': 'core options errors util',
  'ts/durable-streams': 'core http native options errors util',
  'ts/tanstack': 'core options errors util',
  'ts/assistant-ui': 'core options errors util',
  'ts/workflow': 'core options errors util',
  'ts/inspector': 'core http options errors util',
  'ts/cli': 'durable-streams inspector core http native options errors util',
})

const ROOMS = Object.keys(DOORS).sort((one, other) => other.length - one.length)
const ENTRY_POINT = /^ts\/[^/]+$/

/** @param {string} file @param {string} room */
const isIn = (file, room) => file.startsWith(`${room}/`) || file === `${room}.rs`
/** The innermost room. @param {string} file */
const roomOf = (file) => ROOMS.find((room) => isIn(file, room)) ?? ''

/** The imports against the arrows, in words. @param {import('../support/imports.mjs').Imports} imports */
function wrongWays(imports) {
  const inside = [...imports].filter(([file]) => !ENTRY_POINT.test(file))
  return inside.flatMap(([file, targets]) => {
    const room = roomOf(file)
    const doors = DOORS[room]
    if (doors === undefined) return [`${file} is in no room`]
    const isOpen = (/** @type {string} */ target) =>
      doors.split(' ').some((door) => {
        const open = `${file.split('/')[0]}/${door}`
        return isIn(target, open) && open.length >= roomOf(target).length
      })
    const wrong = [...targets].filter((target) => roomOf(target) !== room && !isOpen(target))
    return wrong.map(
      (target) => `${file} imports ${target}: ${room} may import from ${doors || 'no other room'}`,
    )
  })
}

/** The shortest circle of imports, in words; empty if there is none. @param {import('../support/imports.mjs').Imports} imports */
function circle(imports) {
  const circles = [...imports.keys()].flatMap((file) => {
    const ways = [[file]]
    const seen = new Set()
    for (const way of ways) {
      for (const next of imports.get(way.at(-1) ?? '') ?? []) {
        if (next === file) return [[...way, next]]
        if (!seen.has(next)) ways.push([...way, next])
        seen.add(next)
      }
    }
    return []
  })
  return circles.sort((one, other) => one.length - other.length)[0]?.join(' imports ') ?? ''
}

test('doors open one way, and no imports run in a circle', () => {
  const imports = importsOf(sources())
  assert.ok(imports.size > 250, `${imports.size} files`)
  assert.deepEqual(wrongWays(imports), [])
  assert.equal(circle(imports), '')
})

/** The imports with another one at the top of each of these files. @param {Record<string, string>} planted */
function importsWith(planted) {
  const files = sources()
  for (const [file, line] of Object.entries(planted)) files.set(file, `${line}\n${files.get(file) ?? ''}`)
  return importsOf(files)
}

test('an import against the arrows is named, with the rule', () => {
  const imports = importsWith({
    'src/model/cursor.rs': 'use super::super::{engine::{outbox}};',
    'src/redis/slots.rs': 'use crate::{model::cursor::Cursor, store::{Read as Page}};',
    'src/store/values.rs': 'type A = crate::store::redis::A;',
    'src/store/memory/mod.rs': 'use super::redis;',
    'src/attic/old.rs': '',
    'ts/util/fifo.ts': "import type { A } from '../core/engine'",
    'ts/core/engine.ts': "export * from '../next'",
    'ts/attic/old.ts': '',
  })
  assert.deepEqual(wrongWays(imports).sort(), [
    'src/attic/old.rs is in no room',
    'src/model/cursor.rs imports src/engine/outbox.rs: src/model may import from error',
    `src/redis/slots.rs imports src/model/cursor.rs: src/redis may import from ${DOORS['src/redis']}`,
    `src/redis/slots.rs imports src/store/values.rs: src/redis may import from ${DOORS['src/redis']}`,
    `src/store/memory/mod.rs imports src/store/redis/mod.rs: src/store/memory may import from ${DOORS['src/store/memory']}`,
    'src/store/values.rs imports src/store/redis/mod.rs: src/store may import from error model util',
    'ts/attic/old.ts is in no room',
    `ts/core/engine.ts imports ts/next.ts: ts/core may import from ${DOORS['ts/core']}`,
    'ts/util/fifo.ts imports ts/core/engine.ts: ts/util may import from no other room',
  ])
})

test('a circle is named', () => {
  const ofRust = circle(importsWith({ 'src/engine/read/ring.rs': 'use super::hub::Hub;' }))
  assert.match(ofRust, /^(src\/engine\/read\/(hub|ring)\.rs( imports |$)){3}/)
  const ofScripts = circle(importsWith({ 'ts/core/memory.ts': "require('./engine')" }))
  assert.match(ofScripts, /^(ts\/core\/(engine|memory)\.ts( imports |$)){3}/)
})
