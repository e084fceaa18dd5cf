// The package as CommonJS programs and ES modules load it: by its name, and it is the same package for both.

const assert = require('node:assert/strict')
const required = require('tidemark')

async function main() {
  const imported = await import('tidemark')
  const names = Object.keys(required).sort()
  // What Node.js adds to what an ES module takes from a CommonJS one.
  const added = ['default', 'module.exports', '__esModule']
  const own = Object.keys(imported).filter((name) => !added.includes(name))
  assert.deepEqual(own.sort(), names)
  for (const name of names) assert.equal(imported[name], required[name], name)
  for (const { createEngine, TidemarkError, InvalidArgumentError } of [required, imported]) {
    const engine = createEngine({ url: 'memory:' })
    const producer = await engine.produce('loaded')
    producer.write('chunk')
    await producer.complete()
    const chunks = []
    for await (const { data } of engine.subscribe('loaded')) chunks.push(data)
    assert.deepEqual(chunks, ['chunk'])
    const isOurs = (error) => error instanceof InvalidArgumentError && error instanceof TidemarkError
    assert.throws(() => engine.subscribe(''), isOurs)
    await engine.close()
  }
  process.send({ type: 'loaded', names })
}

main()
