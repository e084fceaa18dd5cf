/** The method that Node.js calls on an object that it prints. By its name, since this runs in browsers too. */
const CUSTOM = Symbol.for('nodejs.util.inspect.custom')

type Inspect = (value: unknown, options: object) => string

/** Lets the objects of a class be printed by Node.js with what their `toJSON` says, or `fields` does. */
export function show<T extends { toJSON(): object }>(
  type: { readonly prototype: T },
  name: string,
  fields: (self: T) => object = (self) => self.toJSON(),
): void {
  const value = function (this: T, depth: number, options: { depth?: number | null }, inspect: Inspect) {
    if (depth < 0) return `[${name}]`
    const inner = typeof options.depth === 'number' ? options.depth - 1 : options.depth
    return `${name} ${inspect(fields(this), { ...options, depth: inner })}`
  }
  Object.defineProperty(type.prototype, CUSTOM, { value, configurable: true, writable: true })
}
