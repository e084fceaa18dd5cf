import type { IoRedis, Publisher, Subscriber } from './types'

type Receive = (message: string) => void

interface Channel {
  readonly listeners: Set<Receive>
  readonly ready: Promise<unknown>
}

/** The listeners of a subscriber's channels. Clients end a channel for all listeners at once, so only the last one does so. */
export class Channels {
  static readonly #all = new WeakMap<Subscriber, Channels>()
  readonly #subscriber: Subscriber
  readonly #channels = new Map<string, Channel>()

  static of(subscriber: Subscriber): Channels {
    let channels = Channels.#all.get(subscriber)
    if (channels === undefined) {
      channels = new Channels(subscriber)
      Channels.#all.set(subscriber, channels)
    }
    return channels
  }

  private constructor(subscriber: Subscriber) {
    this.#subscriber = subscriber
  }

  /** Resolves once messages will be received, with a function that ends this. */
  async listen(name: string, receive: Receive): Promise<() => Promise<unknown>> {
    const channel = this.#channels.get(name) ?? this.#open(name)
    channel.listeners.add(receive)
    const leave = async () => {
      if (!channel.listeners.delete(receive) || channel.listeners.size > 0) return undefined
      this.#channels.delete(name)
      return this.#subscriber.unsubscribe(name)
    }
    try {
      await channel.ready
    } catch (error) {
      this.#channels.delete(name)
      throw error
    }
    return leave
  }

  #open(name: string): Channel {
    const listeners = new Set<Receive>()
    const ready = this.#subscriber.subscribe(name, (message) => {
      for (const receive of [...listeners]) receive(message)
    })
    const channel = { listeners, ready }
    this.#channels.set(name, channel)
    return channel
  }
}

/** The used part of an ioredis client: its messages are events. */
interface EventClient extends IoRedis {
  on(event: 'message', listener: (channel: string, message: string) => void): unknown
  off(event: 'message', listener: (channel: string, message: string) => void): unknown
  subscribe(channel: string): Promise<unknown>
  unsubscribe(channel: string): Promise<unknown>
  set(...args: (string | number)[]): Promise<unknown>
  get(key: string): Promise<string | null>
  incr(key: string): Promise<number>
}

const adapters = new WeakMap<object, PubSub>()

/** A client with the methods of both interfaces. */
type PubSub = Publisher & Subscriber

/** A raw ioredis client as a publisher and subscriber; anything else as it is. */
export function adapted<T extends Publisher | Subscriber>(client: T | IoRedis): T | PubSub {
  if (!('defineCommand' in client) || typeof client.defineCommand !== 'function') return client as T
  let adapter = adapters.get(client)
  if (adapter === undefined) {
    adapter = adapterFor(client as EventClient)
    adapters.set(client, adapter)
  }
  return adapter
}

function adapterFor(client: EventClient): PubSub {
  const receivers = new Map<string, Receive>()
  const onMessage = (channel: string, message: string) => receivers.get(channel)?.(message)
  return {
    // It connects by itself.
    connect: async () => {},
    publish: (channel, message) => client.publish(channel, message),
    set: (key, value, options) =>
      options?.EX === undefined ? client.set(key, value) : client.set(key, value, 'EX', options.EX),
    get: (key) => client.get(key),
    incr: (key) => client.incr(key),
    subscribe: async (channel, receive) => {
      if (receivers.size === 0) client.on('message', onMessage)
      receivers.set(channel, receive)
      await client.subscribe(channel)
    },
    unsubscribe: (channel) => {
      receivers.delete(channel)
      if (receivers.size === 0) client.off('message', onMessage)
      return client.unsubscribe(channel)
    },
  }
}
