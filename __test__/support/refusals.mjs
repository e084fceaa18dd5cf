// How a bad option or argument is refused, and values that are bad everywhere.

import assert from 'node:assert/strict'
import { InvalidArgumentError, TidemarkError } from 'tidemark'

/** A text that is no well-formed Unicode. */
export const lone = 'a\ud800b'
export const MIB = 1 << 20

/** For `assert.throws` and `assert.rejects`: a refusal of this field, from the line that was wrong. @param {string} field */
export function refusal(field) {
  return (/** @type {any} */ error) => {
    assert.ok(error instanceof InvalidArgumentError && error instanceof TidemarkError, String(error))
    assert.equal(error.name, 'InvalidArgumentError')
    assert.equal(error.code, 'ERR_INVALID_ARGUMENT')
    assert.equal(error.field, field)
    assert.ok(error.message.startsWith(`${field}: `), error.message)
    assert.equal(error.retryable, false)
    assert.match(error.stack ?? '', /\/__test__\/options\/.*\.test\.mjs/)
    return true
  }
}

/** What is no duration, whatever its bounds are. @type {unknown[]} */
export const badDurations = [
  // Wrong types.
  ...[null, true, [], {}, 5n, Symbol('s'), () => 1],
  // Numbers, but not of milliseconds.
  ...[Number.NaN, Infinity, -Infinity, -1, 1.5, 2 ** 60],
  // Texts, but not durations.
  ...['', '5', 's', '-1s', '1.5h', '1 h', '1H', '1w', '1h30m', ' 1h', '9999999999999d', '0x10ms'],
]
