// This package, through its public API.

import { createEngine } from 'tidemark'

/** @param {string} url @returns {import('./index.mjs').Client} */
export function connect(url) {
  const engine = createEngine({ url })
  return {
    async open(id) {
      const producer = await engine.produce(id)
      return {
        write: (event) => (producer.write(JSON.stringify(event)) ? undefined : producer.ready),
        async end() {
          await producer.complete()
        },
      }
    },
    async consume(id, on) {
      for await (const chunk of engine.subscribe(id)) on(chunk.json())
    },
  }
}
