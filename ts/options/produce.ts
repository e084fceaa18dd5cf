// The options of producers.

import type { PipeArgs, ProduceArgs } from './args'
import { callback, object, oneOf } from './checks'
import { flushIntervalMs, metadata, owner, streamId, ttl } from './fields'
import type { Config } from './options'

const produceFields = {
  owner,
  metadata,
  ifActive: oneOf('error', 'takeover', 'share', 'continue'),
  ifEnded: oneOf('restart', 'error'),
  ttl,
  flushIntervalMs,
}

const produceOptions = object(produceFields)

const pipeOptions = object({
  ...produceFields,
  waitUntil: callback<Promise<unknown>>,
  onError: callback<unknown>,
})

export function produceArgs(id: unknown, given: unknown, config: Config): ProduceArgs {
  const stream = streamId(id, 'streamId')
  return started(stream, produceOptions(given, 'options'), config, true)
}

export function pipeArgs(id: unknown, given: unknown, config: Config): PipeArgs {
  const stream = streamId(id, 'streamId')
  const options = pipeOptions(given, 'options')
  return {
    start: started(stream, options, config, false),
    waitUntil: options.waitUntil,
    onError: options.onError,
  }
}

function started(
  stream: string,
  options: ReturnType<typeof produceOptions>,
  config: Config,
  isPatient: boolean,
): ProduceArgs {
  return {
    streamId: stream,
    owner: options.owner ?? null,
    metadata: options.metadata ?? null,
    ifActive: options.ifActive ?? 'error',
    ifEnded: options.ifEnded ?? 'restart',
    ttlActiveMs: options.ttl?.active ?? config.ttlActiveMs,
    ttlDoneMs: options.ttl?.done ?? config.ttlDoneMs,
    flushIntervalMs: options.flushIntervalMs ?? null,
    isPatient,
  }
}
