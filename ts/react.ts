/**
 * `tidemark/react`: hooks for React 18 and 19. `useFollow` shows a stream that a server sends with `engine.respond`, and needs no
 * SDK; `useStop` and `useWatch` belong to `useChat` with the transport of `tidemark/ai`.
 *
 * ```tsx
 * import { useFollow } from 'tidemark/react'
 *
 * function Answer({ id }) {
 *   const { text, status, stop } = useFollow(`/chats/${id}/stream`)
 *   return <p aria-busy={status === 'streaming'}>{text}</p>
 * }
 * ```
 *
 * @packageDocumentation
 */

export { type FollowState, type FollowStatus, type UseFollowOptions, useFollow } from './react/use-follow.js'
export { useStop } from './react/use-stop.js'
export { useWatch } from './react/use-watch.js'
