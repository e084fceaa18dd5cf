// The options of groups.

import type { ConsumeArgs, Owned } from './args'
import { integer, object, oneOf } from './checks'
import { consumer, DEFAULT_WAIT_MS, from, owner, type Signalled, signal, streamId, wait } from './fields'

const deadOptions = object({ group: consumer, streamId, owner })

const consumeFields = {
  group: consumer,
  consumer,
  batch: integer(1, 100, 'items'),
  claimIdleMs: integer(1, 86_400_000, 'milliseconds'),
  maxDeliveries: integer(1, 1_000_000, 'deliveries'),
  signal,
}

const consumeOptions = object({ ...consumeFields, from, owner, wait })
const finishedOptions = object({ ...consumeFields, from: oneOf('start', 'now') })

/** The options of a group's consumer. */
export interface Consuming extends Signalled {
  args: ConsumeArgs
}

export function consumeArgs(id: unknown, given: unknown): Consuming {
  const stream = streamId(id, 'streamId')
  const options = consumeOptions(given, 'options')
  return consuming(stream, options, options.owner ?? null, options.wait ?? DEFAULT_WAIT_MS)
}

export function finishedArgs(given: unknown): Consuming {
  return consuming(null, finishedOptions(given, 'options'), null, 0)
}

function consuming(
  stream: string | null,
  options: Omit<ReturnType<typeof consumeOptions>, 'owner' | 'wait'>,
  owner: string | null,
  waitMs: number,
): Consuming {
  const args = {
    streamId: stream,
    group: consumer(options.group, 'options.group'),
    consumer: consumer(options.consumer, 'options.consumer'),
    from: options.from ?? 'start',
    batch: options.batch ?? 16,
    claimIdleMs: options.claimIdleMs ?? 60_000,
    maxDeliveries: options.maxDeliveries ?? 5,
    owner,
    waitMs,
  }
  return { args, signal: options.signal }
}

export function deadArgs(given: unknown): Owned {
  const options = deadOptions(given, 'options')
  return {
    streamId: options.streamId ?? null,
    group: consumer(options.group, 'options.group'),
    owner: options.owner ?? null,
  }
}
