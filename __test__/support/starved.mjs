// How busy the machine was, as its scheduler counts it: a limit in time is one for a program that gets to run.

import { readdirSync, readFileSync } from 'node:fs'

/**
 * How long the threads of this process and of these were ready to run so far, and had no processor, in milliseconds and all together.
 * 0 where the system does not say.
 * @param {number[]} pids
 */
export function starved(...pids) {
  return [process.pid, ...pids].flatMap(threads).reduce((sum, ns) => sum + ns / 1e6, 0)
}

/** @param {number} pid @returns {number[]} nanoseconds of each thread */
function threads(pid) {
  const folder = `/proc/${pid}/task`
  try {
    return readdirSync(folder).map((thread) => {
      const [, waited] = readFileSync(`${folder}/${thread}/schedstat`, 'utf8').split(' ')
      return Number(waited)
    })
  } catch {
    // No such files, or none any more.
    return []
  }
}
