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
  type SubscriptionOptions,
} from './durable-streams/handler'
export { toNodeListener } from './http/node-listener'
