/**
 * `tidemark/inspector`: a web page that shows the streams of an engine, live, to mount in an application. `npx tidemark ui` is the
 * same page without an application.
 *
 * ```ts
 * const inspect = inspector({ engine, authorize: (request) => isAdmin(request) })
 * export { inspect as GET, inspect as POST } // Next.js: app/inspect/[[...path]]/route.ts
 * ```
 *
 * @packageDocumentation
 */

export { toNodeListener } from './http/node-listener.js'
export type { InspectorAccess } from './inspector/access.js'
export { type Inspector, type InspectorOptions, inspector } from './inspector/handler.js'
