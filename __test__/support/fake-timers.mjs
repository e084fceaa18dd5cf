// Time that stands still, as in tests with fake timers: the replacements of a process' timers by Jest, Vitest and node:test, without
// the means to advance the clock.

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import timers from 'node:timers'
import promises from 'node:timers/promises'
import vm from 'node:vm'

const require = createRequire(import.meta.url)
const FUNCTIONS = /** @type {const} */ ([
  'setTimeout',
  'clearTimeout',
  'setInterval',
  'clearInterval',
  'setImmediate',
  'clearImmediate',
])

/** Fakes as @sinonjs/fake-timers makes them: each keeps, at its `clock`, what it stands for. */
class Fakes {
  /** @type {Record<string, unknown>} */
  #clock = {}

  /** @param {any} target @param {string} name @param {unknown} [result] of the fake */
  replace(target, name, result = { ref: itself, unref: itself, refresh: itself, hasRef: () => true }) {
    this.#clock[`_${name}`] = target[name]
    target[name] = Object.assign(() => result, { clock: this.#clock })
  }

  /** @param {any} global */
  freezeClocks(global) {
    const Real = global.Date
    this.#clock._Date = Real
    global.Date = class extends Real {
      /** @param {any[]} args */
      constructor(...args) {
        super(...(args.length === 0 ? [0] : args))
      }
      static now() {
        return 0
      }
    }
    this.replace(global.performance, 'now', 0)
  }
}

/** @this {unknown} */
function itself() {
  return this
}

/** Vitest, and @sinonjs/fake-timers: this process' own globals and modules, all but `nextTick` and `queueMicrotask`. */
export function fakeLikeVitest() {
  const fakes = new Fakes()
  for (const name of FUNCTIONS) fakes.replace(globalThis, name)
  for (const name of FUNCTIONS) /** @type {any} */ (timers)[name] = globalThis[name]
  const never = () => new Promise(() => {})
  Object.assign(promises, { setTimeout: never, setImmediate: never })
  fakes.freezeClocks(globalThis)
  return require
}

/** node:test's: the same, without a way back to the real timers. */
export function fakeLikeNode() {
  for (const name of FUNCTIONS) {
    const fake = () => ({ ref: itself, unref: itself, refresh: itself })
    Object.assign(globalThis, { [name]: fake })
    Object.assign(timers, { [name]: fake })
  }
  const never = () => new Promise(() => {})
  Object.assign(promises, { setTimeout: never, setImmediate: never })
  return require
}

/**
 * Jest: modules are loaded into a context with globals of its own, `process` among them, and Node's own modules are the real
 * ones. Returns what loads a module there, and what replaces the timers, those two included that Vitest leaves.
 */
export function jestLike() {
  const context = vm.createContext({})
  const global = vm.runInContext('this', context)
  for (const name of Object.getOwnPropertyNames(globalThis)) {
    const property = Object.getOwnPropertyDescriptor(globalThis, name)
    if (!(name in global) && property) Object.defineProperty(global, name, property)
  }
  Object.assign(global, { global, globalThis: global, process: Object.create(process) })
  global.performance = Object.create(performance, { now: { value: () => performance.now(), writable: true } })
  /** @type {Map<string, { exports: any }>} */
  const modules = new Map()

  /** @param {string} path */
  function load(path) {
    if (!path.startsWith('/') || path.endsWith('.node')) return require(path)
    const known = modules.get(path)
    if (known) return known.exports
    const module = { exports: {} }
    modules.set(path, module)
    const parameters = ['exports', 'require', 'module', '__filename', '__dirname']
    const options = { parsingContext: context, filename: path }
    const run = vm.compileFunction(readFileSync(path, 'utf8'), parameters, options)
    const { resolve } = createRequire(path)
    run(module.exports, (/** @type {string} */ name) => load(resolve(name)), module, path, dirname(path))
    return module.exports
  }

  function fake() {
    const fakes = new Fakes()
    for (const name of [...FUNCTIONS, 'queueMicrotask']) fakes.replace(global, name)
    fakes.replace(global.process, 'nextTick')
    fakes.freezeClocks(global)
  }
  return { load: (/** @type {string} */ path) => load(require.resolve(path)), fake }
}
