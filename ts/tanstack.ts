/**
 * Runs of TanStack AI that outlive their servers: `docs/tanstack.md`.
 *
 * @packageDocumentation
 */
export {
  type TidemarkStreamDurability,
  type TidemarkStreamOptions,
  tidemarkStream,
} from './tanstack/durability'
export type { TidemarkStreamInit } from './tanstack/source'
