/**
 * `tidemark/client`: follows a stream that a server sends with `engine.respond`, in a browser or in Node.js, and
 * resumes by itself where it was cut off. No dependencies and no native code.
 *
 * ```ts
 * import { follow } from 'tidemark/client'
 *
 * for await (const { data, isReset } of follow(`/chats/${id}/stream`, { signal })) {
 *   if (isReset) clear()
 *   show(data)
 * }
 * ```
 *
 * @packageDocumentation
 */

export * from './client/follow.js'
