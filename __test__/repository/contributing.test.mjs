// The stations and recipes of docs/contributing are where they say.

import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const folder = join(root, 'docs', 'contributing')
const pages = readdirSync(folder).map((name) => ({ name, text: readFileSync(join(folder, name), 'utf8') }))

test('every file, and every function that is named behind one, is there', () => {
  let functions = 0
  for (const { name, text } of pages) {
    for (const [, target = '', symbol] of text.matchAll(/\]\(([^)#]+)\)(?: `([^`]+)`)?/g)) {
      const path = join(dirname(join(folder, name)), target)
      assert.ok(existsSync(path), `${name}: ${target} is not there`)
      if (symbol === undefined || !statSync(path).isFile()) continue
      functions++
      const definition = new RegExp(`(?<![\\w#])${symbol.replace(/[#$]/g, '\\$&')}\\b`)
      assert.match(readFileSync(path, 'utf8'), definition, `${name}: ${target} has no ${symbol}`)
    }
  }
  assert.ok(functions > 30, `${functions} functions`)
})

test('the ways are numbered stations', () => {
  for (const name of ['life-of-a-chunk.md', 'life-of-a-stop.md']) {
    const text = pages.find((page) => page.name === name)?.text ?? ''
    const numbers = [...text.matchAll(/^(\d+)\. /gm)].map(([, number]) => Number(number))
    assert.ok(numbers.length >= 10)
    assert.deepEqual(
      numbers,
      numbers.map((_, index) => index + 1),
      name,
    )
  }
})
