// A longer way to Redis: a proxy, in a process of its own, that lets everything pass so many milliseconds later, each way.

import { startProxy } from '../../__test__/support/proxy.mjs'
import { answerWords, task } from '../lib/worker.mjs'

const { url, ms } = task()
const proxy = await startProxy({ target: url })
proxy.delay(ms)
answerWords({})
process.send?.(proxy.url)
