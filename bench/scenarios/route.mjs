import { Scene } from '../lib/scene.mjs'

/** @type {import('../lib/aims.mjs').Of} */
const processUs = ({ processUs }) => processUs

/** @param {string} ours @returns {import('../lib/aims.mjs').Aim} */
const noMore = (ours) => ({
  what: `\`${ours.slice('tidemark-'.length)}\`, process for each token above the plain route`,
  of: processUs,
  aboveFloor: true,
  ours,
  atMost: 1,
})

/** @type {import('./index.mjs').Scenario} */
export const route = {
  title: 'A route of the AI SDK',
  what: '20 answers at once, each of 300 tokens, one every 10 ms, by a process that calls the route and reads its responses. What making it resumable costs is the CPU of that process above the plain route.',
  subjects: {
    floor: 'the plain route: `createUIMessageStreamResponse`, kept nowhere',
    'resumable-stream':
      'with `consumeSseStream` and resumable-stream of npm, which keeps the answer in the memory of its process',
    'tidemark-consumeSseStream': 'with `consumeSseStream` of `tidemark/next`',
    'tidemark-chatRoutes': '`chatRoutes` of `tidemark/next`',
  },
  peers: ['resumable-stream'],
  columns: [
    { head: 'process, µs/token', digits: 1, of: processUs },
    { head: 'above the plain route', digits: 1, of: processUs, aboveFloor: true },
    { head: 'main thread above it', digits: 1, of: ({ mainUs }) => mainUs, aboveFloor: true },
    { head: 'Redis, µs/token', digits: 1, of: ({ redisUs }) => redisUs },
  ],
  aims: [noMore('tidemark-chatRoutes'), noMore('tidemark-consumeSseStream')],
  checks: [
    { what: 'every response was whole', holds: ({ whole, answers }) => answers > 0 && whole === answers },
  ],
  chart: { axis: 'CPU of the process above the plain route, µs/token', of: processUs, aboveFloor: true },
  run: ({ subject, isQuick }) =>
    Scene.play(async (scene) => {
      const way = subject === 'floor' ? 'plain' : subject.replace('tidemark-', '')
      const shape = { answers: 20, tokens: isQuick ? 50 : 300 }
      const server = await scene.start(
        new URL('../route/server.mjs', import.meta.url),
        { way, ...shape },
        60_000,
      )
      await server.ask('warmUp', 60_000)
      const watch = await scene.watch()
      const used = await server.ask('answer', 60_000)
      const redis = await watch.end()
      return {
        ...redis.costs(used, shape.answers * shape.tokens),
        whole: used.whole,
        answers: shape.answers,
      }
    }),
}
