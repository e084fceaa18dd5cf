/**
 * `tidemark/schema`: events that are validated where they are written and where they are read, with the validators that
 * you have (zod, valibot, arktype: anything with the Standard Schema interface). No native code: runs in a browser.
 *
 * ```ts
 * export const events = defineEvents({
 *   token: z.object({ text: z.string() }),
 *   usage: z.object({ tokens: z.int() }),
 * })
 *
 * const producer = await events.produce(engine, chatId)
 * producer.write({ type: 'token', text: 'Hello' })
 *
 * for await (const { event } of events.subscribe(engine, chatId)) {
 *   if (event.type === 'token') show(event.text)
 * }
 * ```
 *
 * @packageDocumentation
 */

export { SchemaError } from './errors/errors.js'
export {
  type Definition,
  defineEvents,
  type EventEngine,
  type EventInput,
  type EventOutput,
  type EventProduceOptions,
  type EventSchemas,
  type EventSubscribeOptions,
  type Events,
} from './schema/events.js'
export {
  type MessageEventName,
  type MessageType,
  messageEvents,
  type StreamMessage,
} from './schema/message-events.js'
export type { StandardSchema } from './schema/standard-schema.js'
export type { EventChunk, EventProducer, EventSubscription } from './schema/typed-streams.js'
