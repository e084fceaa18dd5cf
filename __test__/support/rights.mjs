// The rights that Tidemark asks for, and a user of Redis that has these and no others.

import { readFileSync } from 'node:fs'

const LIST = readFileSync(new URL('../../src/store/redis/rights.txt', import.meta.url), 'utf8')

/** What needs them, and the rights, in the list's order. @type {{ need: string, right: string }[]} */
export const RIGHTS = LIST.split('\n')
  .filter((line) => line.trim() !== '' && !line.startsWith('#'))
  .map((line) => line.trim().split(/\s+/))
  .map(([need = '', right = '']) => ({ need, right }))

/** Key prefixes that the tests' engines have, and what the predecessor and its module call their keys. */
const PREFIXES = ['tidemark', 'test-*', 'message-stream']
const OLD = ['message-stream-*', 'stop-stream:*']

/**
 * What follows the name in `ACL SETUSER`, or in a configuration's `user`.
 * @param {object} options
 * @param {string} options.password
 * @param {string[]} [options.without] rights that it is not given
 * @param {(need: string) => boolean} [options.needs] of which parts of the list it gets the rights
 */
export function userRules({ password, without = [], needs = (need) => need !== 'sentinels' }) {
  const names = PREFIXES.flatMap((prefix) => [`${prefix}:*`, `{${prefix}:*`])
  const given = RIGHTS.filter(({ need, right }) => needs(need) && !without.includes(right))
  return [
    'on',
    `>${password}`,
    // Redis 6.2 gives every new user all channels, and takes no pattern beside that.
    'resetchannels',
    ...[...names, ...OLD].map((pattern) => `~${pattern}`),
    ...names.map((pattern) => `&${pattern}`),
    ...given.map(({ right }) => `+${right}`),
  ]
}
