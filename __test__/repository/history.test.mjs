// The checker of histories is itself proven able to fail: each kind of violation is planted and must be found.

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { checkHistory, findViolations } from '../support/history.mjs'
import { createRandom } from '../support/seed.mjs'

/** @param {string[]} texts @param {number} [first] */
const chunks = (texts, first = 1) => texts.map((data, index) => ({ seq: first + index, data }))
const written = chunks(['a', 'b', 'c', 'd'])
const complete = { name: 'other', chunks: written, outcome: 'complete' }

/** @param {object} fields */
const reader = (fields) => ({ name: 'reader', chunks: written, outcome: 'complete', ...fields })
/** @param {any} history */
const kinds = (history) => findViolations(history).map(({ kind }) => kind)
/** @param {any[]} got of a reader that gave up, next to one that saw everything */
const kindsOf = (got) => kinds({ written, readers: [complete, reader({ chunks: got, outcome: 'aborted' })] })
const [a, b, c, d] = written

describe('a sound history passes', () => {
  test('whole, resumed, aborted and failed readers', () => {
    checkHistory({
      written,
      readers: [
        reader({}),
        reader({ from: 2, chunks: [c, d], outcome: 'stopped' }),
        reader({ from: 4, chunks: [] }),
        reader({ chunks: [a, b], outcome: 'aborted' }),
        reader({ chunks: [a], outcome: 'failed', to: 1 }),
      ],
    })
  })

  test('a write that was not acknowledged may be there or not', () => {
    const unknown = [...written, { data: 'e', acknowledged: false }]
    checkHistory({ written: unknown, readers: [reader({})] })
    checkHistory({ written: unknown, readers: [reader({ chunks: [...written, { seq: 5, data: 'e' }] })] })
    const inside = [a, { data: 'b', acknowledged: false }, c]
    checkHistory({ written: inside, readers: [reader({ from: 2, chunks: [c] })] })
  })

  test('producers that know no seqs, interleaved', () => {
    const shared = ['x1', 'x2', 'y1', 'y2'].map((data) => ({ data, producer: data[0] }))
    checkHistory({ written: shared, readers: [reader({ chunks: chunks(['x1', 'y1', 'y2', 'x2']) })] })
  })

  test('bytes, and a stream whose first seq is not 1', () => {
    const bytes = [{ seq: 7, data: new Uint8Array([0, 255]) }]
    checkHistory({
      written: bytes,
      readers: [reader({ chunks: [{ seq: 7, data: Buffer.from([0, 255]) }] })],
      first: 7,
    })
  })

  test('a stream without chunks', () => checkHistory({ written: [], readers: [reader({ chunks: [] })] }))
})

describe('a broken history is found', () => {
  test('gap', () => {
    assert.deepEqual(kindsOf([a, b, d]), ['gap'])
    assert.deepEqual(kindsOf([b]), ['gap'])
    assert.deepEqual(kinds({ written, readers: [reader({ from: 1, chunks: [c, d] })] }), ['gap'])
  })

  test('duplicate', () => {
    assert.deepEqual(kindsOf([a, b, b]), ['duplicate'])
    assert.deepEqual(kindsOf([a, b, c, b]), ['duplicate'])
    assert.deepEqual(kinds({ written, readers: [reader({ from: 1 })] }), ['duplicate'])
  })

  test('reordered', () => assert.deepEqual(kindsOf([a, c, b, d]), ['gap', 'reordered']))

  test('wrong data, against the producer and between readers', () => {
    assert.deepEqual(kindsOf([a, { seq: 2, data: 'B' }]), ['wrong-data'])
    assert.deepEqual(kindsOf([a, { seq: 2, data: Buffer.from('b') }]), ['wrong-data'])
    const floating = [{ data: 'x' }, { data: 'y' }]
    const readers = [reader({ chunks: chunks(['x', 'y']) }), reader({ chunks: chunks(['y', 'x']) })]
    assert.deepEqual(kinds({ written: floating, readers }), ['wrong-data', 'wrong-data'])
  })

  test('invented', () =>
    assert.deepEqual(kindsOf([...written, { seq: 5, data: 'e' }]).slice(0, 1), ['invented']))

  test('missing tail, by the promise of the outcome and by `to`', () => {
    for (const outcome of ['complete', 'stopped']) {
      assert.deepEqual(kinds({ written, readers: [reader({ chunks: [a, b, c], outcome })] }), [
        'missing-tail',
      ])
    }
    assert.deepEqual(kinds({ written, readers: [reader({ chunks: [a], outcome: 'failed', to: 2 })] }), [
      'missing-tail',
    ])
    // What one reader saw past the acknowledged writes, every complete reader must have seen.
    const more = [...written, { data: 'e', acknowledged: false }]
    const longer = reader({ chunks: [...written, { seq: 5, data: 'e' }] })
    assert.deepEqual(kinds({ written: more, readers: [longer, complete] }), ['missing-tail'])
  })

  test('past the end', () => assert.deepEqual(kinds({ written, readers: [reader({ to: 3 })] }), ['past-end']))

  test('not ended', () => {
    assert.deepEqual(kinds({ written, readers: [reader({ outcome: undefined })] }), ['not-ended'])
  })

  test('a seq given twice', () => {
    const twice = [a, b, { seq: 2, data: 'c' }]
    assert.ok(
      kinds({ written: twice, readers: [reader({ outcome: 'aborted', chunks: [a, b] })] }).includes(
        'seq-twice',
      ),
    )
  })

  test('a gap between the seqs of the producers', () => {
    const holed = [a, b, d]
    assert.deepEqual(kinds({ written: holed, readers: [reader({ from: 4, chunks: [] })] }), ['seq-gap'])
    assert.deepEqual(kinds({ written: [b], readers: [reader({ from: 2, chunks: [] })] }), ['seq-gap'])
  })

  test('lost, doubled and out of its producer order, without seqs', () => {
    const floating = [{ data: 'x' }, { data: 'y' }]
    const seen = (/** @type {string[]} */ ...texts) =>
      kinds({ written: floating, readers: [reader({ chunks: chunks(texts) })] })
    assert.deepEqual(seen('x'), ['lost'])
    assert.deepEqual(seen('x', 'y', 'x'), ['doubled'])
    assert.deepEqual(seen('y', 'x'), ['producer-order'])
  })

  test('out of its producer order, with seqs', () => {
    const swapped = [b, a, c, d].map((chunk) => ({ ...chunk, producer: 'p' }))
    assert.deepEqual(kinds({ written: swapped, readers: [complete] }), ['producer-order'])
  })

  test('an unacknowledged write that was written twice', () => {
    const unknown = [...written, { data: 'e', acknowledged: false }]
    const twice = [...written, { seq: 5, data: 'e' }, { seq: 6, data: 'e' }]
    assert.deepEqual(kinds({ written: unknown, readers: [reader({ chunks: twice })] }), ['doubled'])
  })

  test('any single random damage to a long history', () => {
    const random = createRandom(1)
    const long = chunks(Array.from({ length: 200 }, (_, index) => `chunk ${index}`))
    for (let round = 0; round < 300; round++) {
      const got = [...long]
      const at = random.int(0, got.length - 1)
      const damage = random.pick(['drop', 'double', 'swap', 'change'])
      if (damage === 'drop') got.splice(at, 1)
      if (damage === 'double') got.splice(random.int(at, got.length), 0, got[at] ?? assert.fail())
      if (damage === 'swap')
        got.splice(
          Math.min(at, got.length - 2),
          2,
          ...got
            .slice(Math.min(at, got.length - 2))
            .slice(0, 2)
            .reverse(),
        )
      if (damage === 'change') got[at] = { seq: at + 1, data: 'other' }
      assert.throws(
        () => checkHistory({ written: long, readers: [reader({ chunks: got })] }),
        assert.AssertionError,
        `${damage} at ${at} was not found`,
      )
    }
  })
})

describe('the report', () => {
  test('names the reader, the seqs and the data', () => {
    const run = () =>
      checkHistory({ written, readers: [complete, reader({ chunks: [a, d], outcome: 'aborted' })] })
    assert.throws(run, {
      message: '1 violations of G1\n  gap: reader got seq 4 after 1: 2–3 ("b", "c") missing',
    })
  })

  test('stays short', () => {
    const many = chunks(Array.from({ length: 100 }, () => 'x'))
    const wrong = many.map(({ seq }) => ({ seq, data: 'y' }))
    assert.throws(
      () => checkHistory({ written: many, readers: [reader({ chunks: wrong })] }),
      /100 violations[\s\S]*… and 80 more$/,
    )
  })
})

describe('a history that proves nothing is refused', () => {
  test('no readers', () => assert.throws(() => checkHistory({ written, readers: [] }), TypeError))

  test('the same data twice, and no seq to tell them apart', () => {
    assert.throws(
      () => checkHistory({ written: [{ data: 'x' }, { data: 'x' }], readers: [complete] }),
      TypeError,
    )
    assert.throws(
      () => checkHistory({ written: [{ data: 'x', seq: 1 }, { data: 'x' }], readers: [complete] }),
      TypeError,
    )
  })
})
