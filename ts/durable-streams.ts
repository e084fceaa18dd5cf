/**
 * Durable Streams over HTTP, on the streams of Tidemark: `docs/durable-streams.md`.
 *
 * @packageDocumentation
 */
export {
  type Action,
  type DurableStreamsOptions,
  durableStreams,
  type Permission,
} from './durable-streams/handler'
export type { SubscriptionOptions } from './durable-streams/subscriptions/options'
export { toNodeListener } from './http/node-listener'
