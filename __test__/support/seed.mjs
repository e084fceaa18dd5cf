// Random choices that a failed run can repeat: TIDEMARK_SEED=<printed seed>.

/** @typedef {ReturnType<typeof createRandom>} Random */

/** The run's seed: `TIDEMARK_SEED` (0 to 4294967295), else a new one. Printed once, as repeating a run needs it. */
export const seed = (() => {
  const given = process.env.TIDEMARK_SEED
  const value = given === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(given)
  if (!Number.isInteger(value) || value < 0 || value >= 2 ** 32)
    throw new RangeError(`TIDEMARK_SEED=${given}`)
  console.log(`TIDEMARK_SEED=${value}`)
  return value
})()

/**
 * A generator of its own (mulberry32): the same seed and salt give the same choices.
 * @param {number} [salt] tells the generators of one run apart
 * @param {number} [from] the seed
 */
export function createRandom(salt = 0, from = seed) {
  let state = (from ^ Math.imul(salt, 0x9e3779b1)) >>> 0

  /** A number in [0, 1). */
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  /** An integer between `min` and `max`, both possible. @param {number} min @param {number} max */
  const int = (min, max) => min + Math.floor(next() * (max - min + 1))
  /** True with this probability. @param {number} probability */
  const chance = (probability) => next() < probability
  /** One of the items. @template T @param {readonly T[]} items @returns {T} */
  const pick = (items) => {
    if (items.length === 0) throw new RangeError('nothing to pick from')
    return /** @type {T} */ (items[int(0, items.length - 1)])
  }
  /** A shuffled copy. @template T @param {readonly T[]} items @returns {T[]} */
  const shuffle = (items) => {
    const copy = [...items]
    for (let last = copy.length - 1; last > 0; last--) {
      const other = int(0, last)
      const item = /** @type {T} */ (copy[last])
      copy[last] = /** @type {T} */ (copy[other])
      copy[other] = item
    }
    return copy
  }
  return { next, int, chance, pick, shuffle }
}
