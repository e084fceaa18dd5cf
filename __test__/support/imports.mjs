// Which file of src/ and ts/ imports which, for the test of the doors between rooms.

import { readdirSync, readFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'

/** @typedef {Map<string, string>} Files the text of each file, by its path */
/** @typedef {Map<string, Set<string>>} Imports the files that each file imports */

/** The files of src/ and ts/, without tests. @returns {Files} */
export function sources() {
  const root = fileURLToPath(new URL('../..', import.meta.url))
  const paths = ['src', 'ts'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .map((path) => `${folder}/${path.replaceAll('\\', '/')}`)
      .filter((path) => /\.(rs|m?ts)$/.test(path) && !path.endsWith('tests.rs')),
  )
  return new Map(paths.map((path) => [path, readFileSync(join(root, path), 'utf8')]))
}

/** The relative imports of a TypeScript file. @param {Files} files @param {string} file @param {string} text */
function importsOfScript(files, file, text) {
  const named = [...text.matchAll(/\b(?:from|import|require\()\s*\(?'(\.[^']+)'/g)]
  const paths = named.map(([, to = '']) => posix.join(file, '..', to).replace(/(\.(m)?js)?$/, '.$2ts'))
  return paths.filter((path) => files.has(path))
}

const USE = /^\s*(pub(?:\(\w+\))? )?use ([^;]+);/gm

/** What Rust's `use` names: in `a::{b, c::{self, d}}` it is `a::b`, `a::c` and `a::c::d`. @param {string} tree */
function flat(tree) {
  let names = tree.replace(/\s+as \w+|\s/g, '')
  while (names.includes('{')) {
    names = names.replace(/([\w:]*)\{([^{}]*)\}/g, (_, before, group) =>
      group.replace(/[^,]+/g, `${before}$&`),
    )
  }
  return names.replaceAll('::self', '').split(',').filter(Boolean)
}

/** The names that Rust code uses, and those that it hands on to whoever uses it. @param {string} text */
function namesIn(text) {
  const code = text
    .replace(/#\[cfg\(test\)\]\nmod tests \{[\s\S]*/, '')
    .replace(/\/\/.*/g, '')
    .replace(/pub\(in [\w:]+\)/g, 'pub')
  const uses = [...code.matchAll(USE)]
  const used = uses.flatMap(([, pub, tree = '']) => (pub ? [] : flat(tree)))
  const handedOn = uses.flatMap(([, pub, tree = '']) => (pub ? flat(tree) : []))
  const rest = code.replace(USE, '')
  used.push(...(rest.match(/\b(?:crate|super)(?:::\w+)+/g) ?? []))
  // A file that does nothing else does not depend on what it hands on.
  if (/^(?!\s*(#|(pub(\(\w+\))? )?mod |$))/m.test(rest)) used.push(...handedOn)
  return { used, handedOn }
}

/** The imports of the Rust files. A name that a module hands on leads to the file where it is at home. @param {Files} files */
function importsOfRust(files) {
  const moduleOf = (/** @type {string} */ file) => file.replace(/(\/mod|\/lib)?\.rs$/, '')
  const modules = new Map([...files].map(([file, text]) => [moduleOf(file), { file, ...namesIn(text) }]))
  /** @returns {string[]} nothing, if the name is of another crate @param {string} from @param {string} name */
  const home = (from, name) => {
    const parts = name.split('::')
    const isOurs = /^(crate|self|super)$/.test(parts[0] ?? '') || modules.has(`${from}/${parts[0]}`)
    if (!isOurs) return []
    const path = parts[0] === 'crate' ? ['src'] : from.split('/')
    for (const part of parts.filter((each) => each !== 'crate' && each !== 'self')) {
      if (part === 'super') path.pop()
      else path.push(part)
    }
    let length = path.length
    while (!modules.has(path.slice(0, length).join('/'))) length--
    const found = path.slice(0, length).join('/')
    const { file, handedOn } = /** @type {{ file: string, handedOn: string[] }} */ (modules.get(found))
    const further = handedOn.find((each) => each.split('::').at(-1) === path[length])
    return further === undefined ? [file] : home(found, further)
  }
  return new Map(
    [...modules].map(([name, { file, used }]) => [file, used.flatMap((each) => home(name, each))]),
  )
}

/** @param {Files} files @returns {Imports} */
export function importsOf(files) {
  const ofRust = importsOfRust(new Map([...files].filter(([file]) => file.endsWith('.rs'))))
  const of = (/** @type {string} */ file, /** @type {string} */ text) => {
    const targets = new Set(ofRust.get(file) ?? importsOfScript(files, file, text))
    targets.delete(file)
    return targets
  }
  return new Map([...files].map(([file, text]) => [file, of(file, text)]))
}
