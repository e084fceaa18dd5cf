// What both sides of the boundary to Rust know by hand is the same on both.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import errors from '../../dist/errors/errors.js'
import * as keys from '../../dist/message-stream/default-engine.js'
import * as native from '../../dist/native/native.js'

test('the numbers of records, flags and costs are those of the native side', () => {
  const numbers = Object.entries(native).filter(([, value]) => typeof value === 'number')
  assert.deepEqual(Object.fromEntries(numbers), native.loadNative().constants())
})

test('keys have the names that the native side gives them', () => {
  const vectors = JSON.parse(readFileSync(new URL('../../tests/key_names.json', import.meta.url), 'utf8'))
  for (const { id, record, channel, predecessor } of vectors) {
    assert.deepEqual(keys.keysOf(id), { streamKey: record, channelKey: channel })
    assert.equal(keys.oldKeysOf(id).streamKey, predecessor)
  }
})

test('the codes are those of the native side, each with a class of its own', () => {
  assert.deepEqual(errors.ERROR_CODES, native.loadNative().errorCodes())
  const classes = new Set()
  for (const code of errors.ERROR_CODES) {
    const error = errors.fromNative({ code, message: 'm', streamId: 's', retryable: true })
    assert.ok(error instanceof errors.TidemarkError)
    assert.notEqual(error.constructor, errors.TidemarkError)
    assert.deepEqual([error.code, error.message, error.streamId, error.retryable], [code, 'm', 's', true])
    assert.equal(error.name, code === 'ERR_STOPPED' ? 'AbortError' : error.constructor.name)
    classes.add(error.constructor)
  }
  assert.equal(classes.size, errors.ERROR_CODES.length)
})
