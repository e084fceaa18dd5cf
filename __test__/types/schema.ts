// Compiled, not run (types.test.mjs): what a schema tells the compiler.
import { type } from 'arktype'
import type { Engine, Outcome } from 'tidemark'
import { defineEvents, type Events, messageEvents, SchemaError, type StandardSchema } from 'tidemark/schema'
import * as v from 'valibot'
import * as z from 'zod'

declare function equal<T>(): <U>(
  value: U & ([U] extends [T] ? ([T] extends [U] ? unknown : never) : never),
) => void
declare const engine: Engine

const events = defineEvents({
  token: z.object({ text: z.string() }),
  at: z.object({ time: z.iso.datetime().transform((text) => new Date(text)) }),
})
type Written = { type: 'token'; text: string } | { type: 'at'; time: string }
type Read = { type: 'token'; text: string } | { type: 'at'; time: Date }
export const same: Events<Written, Read> = events

export async function use(): Promise<Outcome | undefined> {
  const producer = await events.produce(engine, 'chat', { owner: 'ann', validate: false })
  producer.write({ type: 'token', text: 'one' })
  producer.write({ type: 'at', time: '2026-01-02T03:04:05Z' })
  equal<string>()(await producer.append({ type: 'token', text: 'two' }))
  // @ts-expect-error: a wrong field
  producer.write({ type: 'token', text: 5 })
  // @ts-expect-error: the other event's field
  producer.write({ type: 'token', time: 'now' })
  // @ts-expect-error: no such event
  producer.write({ type: 'other' })
  // @ts-expect-error: what is read, not what is written
  producer.write({ type: 'at', time: new Date() })
  await producer.complete()

  const subscription = events.subscribe(engine, 'chat', { from: 'now', validate: 'drop', wait: '5s' })
  // @ts-expect-error: not a way to read
  events.subscribe(engine, 'chat', { validate: true })
  for await (const { seq, cursor, event } of subscription) {
    equal<number>()(seq)
    equal<string>()(cursor)
    if (event.type === 'token') equal<string>()(event.text)
    else equal<Date>()(event.time)
  }
  return subscription.outcome
}

// The other validators, and one for all events.
defineEvents({ token: v.object({ text: v.string() }) }).encode({ type: 'token', text: 'one' })
defineEvents({ token: type({ text: 'string' }) }).encode({ type: 'token', text: 'one' })
const union = defineEvents(z.discriminatedUnion('type', [z.object({ type: z.literal('a'), n: z.number() })]))
equal<number>()(union.decode('').n)
// @ts-expect-error: not what it is
union.encode({ type: 'a', n: 'one' })
const own: StandardSchema<{ n: string }, { n: number }> = z.object({ n: z.coerce.number<string>() })
equal<number>()(defineEvents({ own }).decode('').n)
// @ts-expect-error: not a validator
defineEvents({ token: 'text' })

const event = messageEvents.decode('')
if (event.type === 'aiMessageChunk') equal<string>()(event.chunk)
else equal<string | undefined>()(event.messageId)

export const pathOf = (error: unknown): string | undefined =>
  error instanceof SchemaError ? error.issues[0]?.path : undefined
