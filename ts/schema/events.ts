import type * as api from 'tidemark'
import { called, invalidArgument, publish, schemaError } from '../errors/errors.js'
import type { InferInput, InferOutput, StandardIssue, StandardSchema } from './standard-schema.js'
import { EventProducer, EventSubscription } from './typed-streams.js'

/** A validator for each type of event; it gets the event without its `type`. */
export type EventSchemas = Readonly<Record<string, StandardSchema>>

/** Either a validator for each type, or one for all events. */
export type Definition = EventSchemas | StandardSchema

/** The events that may be written. */
export type EventInput<D extends Definition> = D extends StandardSchema
  ? InferInput<D>
  : {
      [T in keyof D & string]: D[T] extends StandardSchema ? { type: T } & InferInput<D[T]> : never
    }[keyof D & string]

/** The events that are read, as the validators return them. Events of unknown types come unchanged. */
export type EventOutput<D extends Definition> = D extends StandardSchema
  ? InferOutput<D>
  : {
      [T in keyof D & string]: D[T] extends StandardSchema ? { type: T } & InferOutput<D[T]> : never
    }[keyof D & string]

/** The part of an engine that this module needs. */
export type EventEngine = Pick<api.Engine, 'produce' | 'subscribe'>

export interface EventProduceOptions extends api.ProduceOptions {
  /** Whether events are validated before they are written. Default true. */
  validate?: boolean | undefined
}

export interface EventSubscribeOptions extends api.SubscribeOptions {
  /**
   * What happens to an event that does not fit. `'strict'` (default): the loop ends with a {@link SchemaError}; `'drop'`:
   * it is skipped, and counted in `dropped`; `'off'`: nothing is validated or transformed.
   */
  validate?: 'strict' | 'drop' | 'off' | undefined
}

/** A definition of events; see {@link defineEvents}. `Input` is the type to write, `Output` the type that is read. */
export interface Events<Input, Output> {
  /** Validates an event and returns its validator's result. Throws a {@link SchemaError}. */
  parse(event: unknown): Output
  /** Returns an event as the text of a chunk, its JSON; validates it by default. Throws a {@link SchemaError}. */
  encode(event: Input, validate?: boolean): string
  /** Returns the event in a chunk's text; validates it by default. Throws a {@link SchemaError}. */
  decode(text: string, validate?: boolean): Output
  /** `engine.produce` for these events. */
  produce(engine: EventEngine, streamId: string, options?: EventProduceOptions): Promise<EventProducer<Input>>
  /** `engine.subscribe` for these events. */
  subscribe(engine: EventEngine, streamId: string, options?: EventSubscribeOptions): EventSubscription<Output>
}

/**
 * Defines events by a validator for each type (or by one validator for all of them). The event itself is written, as
 * JSON; readers get the validator's result, with defaults and transformations. Validators must be synchronous.
 *
 * An event of a type without a validator passes unchanged, both ways, so a server that is older than the writer passes on events
 * that it does not know. A single validator for all events checks all of them, including unknown types.
 */
export function defineEvents<const D extends Definition>(
  definition: D,
): Events<EventInput<D>, EventOutput<D>> {
  const parse = called(defineEvents, () =>
    isSchema(definition)
      ? (event: unknown) => validated(definition, event, undefined)
      : byType(checkedSchemas(definition)),
  )
  return new Defined(parse as Parse<EventOutput<D>>)
}

type Parse<Output> = (event: unknown) => Output

class Defined<Input, Output> implements Events<Input, Output> {
  readonly parse: Parse<Output>

  constructor(parse: Parse<Output>) {
    this.parse = parse
  }

  encode(event: Input, validate = true): string {
    if (validate) this.parse(event)
    const text: string | undefined = JSON.stringify(event)
    if (text === undefined) throw schemaError(undefined, [{ path: '', message: 'cannot be written as JSON' }])
    return text
  }

  decode(text: string, validate = true): Output {
    let event: unknown
    try {
      event = JSON.parse(text)
    } catch (cause) {
      throw schemaError(undefined, [{ path: '', message: `is not JSON: ${(cause as Error).message}` }])
    }
    return validate ? this.parse(event) : (event as Output)
  }

  async produce(
    engine: EventEngine,
    streamId: string,
    { validate = true, ...options }: EventProduceOptions = {},
  ): Promise<EventProducer<Input>> {
    if (typeof validate !== 'boolean') throw invalidArgument('options.validate', 'must be true or false')
    const producer = await engine.produce(streamId, options)
    return new EventProducer(producer, (event) => this.encode(event, validate))
  }

  subscribe(
    engine: EventEngine,
    streamId: string,
    { validate = 'strict', ...options }: EventSubscribeOptions = {},
  ): EventSubscription<Output> {
    if (!['strict', 'drop', 'off'].includes(validate)) {
      throw invalidArgument('options.validate', "must be 'strict', 'drop' or 'off'")
    }
    const decode = (text: string) => this.decode(text, validate !== 'off')
    return new EventSubscription(engine.subscribe(streamId, options), decode, validate === 'drop')
  }
}

publish(Defined, 'produce', 'subscribe')

function isSchema(value: unknown): value is StandardSchema {
  // Arktype's validators are functions.
  const isObject = (typeof value === 'object' && value !== null) || typeof value === 'function'
  return isObject && typeof (value as Partial<StandardSchema>)['~standard']?.validate === 'function'
}

function checkedSchemas(definition: EventSchemas): ReadonlyMap<string, StandardSchema> {
  if (typeof definition !== 'object' || definition === null) {
    throw invalidArgument('definition', 'must be a validator, or an object with one for each type of event')
  }
  const schemas = Object.entries(definition)
  for (const [type, schema] of schemas) {
    if (!isSchema(schema)) {
      throw invalidArgument(`definition.${type}`, 'must be a validator with the Standard Schema interface')
    }
  }
  return new Map(schemas)
}

function byType(schemas: ReadonlyMap<string, StandardSchema>): Parse<unknown> {
  return (event) => {
    if (typeof event !== 'object' || event === null || Array.isArray(event)) {
      throw schemaError(undefined, [{ path: '', message: 'must be an object' }])
    }
    const { type, ...rest } = event as { type?: unknown }
    if (typeof type !== 'string')
      throw schemaError(undefined, [{ path: 'type', message: 'must be a string' }])
    const schema = schemas.get(type)
    return schema === undefined ? event : { type, ...(validated(schema, rest, type) as object) }
  }
}

function validated(schema: StandardSchema, value: unknown, type: string | undefined): unknown {
  const result = schema['~standard'].validate(value)
  if (result instanceof Promise) {
    throw invalidArgument(
      type === undefined ? 'definition' : `definition.${type}`,
      'validates by a promise; validators of events must answer at once',
    )
  }
  if (result.issues === undefined) return result.value
  throw schemaError(
    type,
    result.issues.map((issue) => ({ path: pathOf(issue), message: issue.message })),
  )
}

function pathOf(issue: StandardIssue): string {
  return (issue.path ?? []).map((part) => String(typeof part === 'object' ? part.key : part)).join('.')
}
