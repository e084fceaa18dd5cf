/**
 * The drop-in for npm `resumable-stream/generic`: streams go through the publisher and the subscriber that are passed,
 * in the original's protocol. Nothing native is loaded.
 *
 * @packageDocumentation
 */

import { relayContext, resumeRelayed } from './relay'
import type { CreateResumableStreamContextOptions, ResumeContext, TidemarkStreamContext } from './types'

export type * from './types'

/**
 * Creates a context for resumable streams.
 *
 * @throws `Generic mode requires a subscriber to be provided …`, or a publisher.
 */
export const createResumableStreamContext = (
  options: CreateResumableStreamContextOptions,
): TidemarkStreamContext => relayContext(options)

/** Resumes a running stream; null when it has just finished. */
export function resumeStream(
  ctx: ResumeContext,
  streamId: string,
  skipCharacters?: number,
): Promise<ReadableStream<string> | null> {
  return resumeRelayed(ctx, streamId, skipCharacters)
}
