import type * as api from '../../index'
import type { Engine } from '../core/engine'
import { TidemarkError } from '../errors/errors'
import { type OnError, wording } from '../errors/wording'
import { type Answer, type Answerer, type Asked, webHandler } from '../http/asked'
import { jsonOf } from '../http/body'
import { callback, flag, methods, object, required } from '../options/checks'
import { from as checkFrom } from '../options/fields'
import { now } from '../util/timers'
import { type Authorize, isForeign, type Viewer, viewerOf, WRITE_HEADER } from './access'
import { detail, letters, seen } from './detail'
import { listen } from './history'
import { AboutEngine, Lists } from './look'
import { asset, page } from './page-files'
import { play } from './play'
import { json, refused } from './responses'
import { Survey } from './survey'
import { WRITES } from './writes'

const checkOptions = object({
  engine: methods('an engine', 'subscribe', 'glances', 'glance', 'groups'),
  authorize: callback<Request>,
  write: flag,
  showData: flag,
  onError: callback<unknown>,
})

/** The largest body of a request that changes something. */
const MOST_BODY_BYTES = 8 * 1024
/** How often the memory of some streams is measured while a page is open. */
const MEMORY_MS = 30_000

export interface InspectorOptions {
  engine: api.Engine
  /** Decides who may look. Called for every request except those from other sites, which carry the visitor's cookies and are refused. */
  authorize: Authorize
  /** Whether streams may be stopped and deleted here, and dead letters retried and dropped. Default false. */
  write?: boolean | undefined
  /** Whether the contents of chunks and the streams' metadata are shown. Default false: only sizes, seqs and cursors are. */
  showData?: boolean | undefined
  /** Called with errors whose messages are not for the page. Default: logs them. */
  onError?: OnError | undefined
}

/** Answers requests for the page and for the paths below it. */
export type Inspector = (request: Request) => Promise<Response>

/**
 * A handler of web requests for a page that shows the contents of an engine's store and the engine's counters. Mount it for `GET`
 * and `POST` at a path of your own and for all paths below. It costs nothing while nobody looks.
 */
export function inspector(options: InspectorOptions): Inspector {
  return webHandler(openInspector(options, false))
}

/** What stands behind {@link inspector}. `isOutside`: the engine is the inspector's own, whose metrics say nothing. */
export function openInspector(options: InspectorOptions, isOutside: boolean): Answerer {
  required(checkOptions(options, 'options'), 'options', 'engine', 'authorize')
  const { authorize, write = false, showData = false, onError } = options
  const parts = new Parts(options.engine as Engine, isOutside)
  const words = wording(onError)
  listen()
  return async (asked) => {
    try {
      // Refused before `authorize`: such a request carries the visitor's cookies.
      if (isForeign(asked) && !isNavigation(asked)) {
        return refused(403, 'ERR_FORBIDDEN', 'this was asked for by another site')
      }
      const viewer = await viewerOf(asked, authorize, { write, showData })
      if (viewer === undefined)
        return refused(403, 'ERR_FORBIDDEN', 'authorize lets nobody in here but those it knows')
      return await parts.route(asked, viewer)
    } catch (error) {
      return failure(error, words)
    }
  }
}

/** Whether the visitor follows a link. The page itself contains no secret, and the other site cannot read it. */
function isNavigation({ method, headers }: Asked): boolean {
  return method === 'GET' && headers.get('sec-fetch-mode') === 'navigate'
}

type Reading = (viewer: Viewer, query: URLSearchParams, asked: Asked) => Promise<Answer>

class Parts {
  readonly #engine: Engine
  readonly #about: AboutEngine
  readonly #survey: Survey
  readonly #lists: Lists
  #measuredAt = Number.NEGATIVE_INFINITY

  constructor(engine: Engine, isOutside: boolean) {
    this.#engine = engine
    this.#about = new AboutEngine(engine, isOutside)
    this.#survey = new Survey(engine, isOutside)
    this.#lists = new Lists(this.#survey)
  }

  /** Only the last two segments of the path matter, so that the inspector can be mounted anywhere. */
  async route(asked: Asked, viewer: Viewer): Promise<Answer> {
    const { pathname, searchParams } = asked.url
    const [, kind, name = ''] = /\/(api|page)\/([a-z.-]+)$/.exec(pathname) ?? []
    if (kind === 'api' && Object.hasOwn(WRITES, name)) return this.#write(asked, viewer, name)
    if (asked.method !== 'GET') return refused(405, 'ERR_METHOD', 'only GET is for this', { allow: 'GET' })
    if (kind === undefined) return page(pathname)
    const answer = kind === 'api' && Object.hasOwn(this.#reads, name) ? this.#reads[name] : undefined
    const found = kind === 'page' ? asset(name) : await answer?.(viewer, searchParams, asked)
    return found ?? refused(404, 'ERR_NOT_FOUND', 'there is no such page')
  }

  readonly #reads: Readonly<Record<string, Reading>> = {
    look: async (viewer, query) =>
      json({ ...this.#now(viewer, query), list: await this.#lists.look(viewer, query) }),

    stream: async (viewer, query) => {
      const found = await detail(this.#engine, this.#survey, viewer, query.get('id') ?? '')
      return json({ ...this.#now(viewer, query), stream: found })
    },

    groups: async (viewer, query) => {
      const found = viewer.owner === null ? await this.#engine.groups(null) : []
      return json({ ...this.#now(viewer, query), groups: found })
    },

    dead: async (viewer, query) => {
      const found = await letters(this.#engine, viewer, query.get('group') ?? '', query.get('id'))
      return found === null ? missing() : json(found)
    },

    play: async (viewer, query, asked) => {
      const status = await seen(this.#engine, viewer, query.get('id') ?? '')
      if (status === null) return missing()
      const from = checkFrom(asked.headers.get('last-event-id') || query.get('from') || 'start', 'from')
      return play(this.#engine, viewer, status, from, asked.signal)
    },
  }

  async #write(asked: Asked, viewer: Viewer, name: string): Promise<Answer> {
    if (asked.method !== 'POST') return refused(405, 'ERR_METHOD', 'only POST is for this', { allow: 'POST' })
    // A page of another site could send these only after a preflight request, which is refused.
    const isOurs =
      asked.headers.get(WRITE_HEADER) !== null &&
      /^application\/json\b/.test(asked.headers.get('content-type') ?? '')
    if (!isOurs) return refused(403, 'ERR_FORBIDDEN', `needs JSON, and the header ${WRITE_HEADER}`)
    if (!viewer.write) return refused(403, 'ERR_READ_ONLY', 'nothing can be changed here: write is not set')
    const done = await WRITES[name]?.(
      this.#engine,
      viewer,
      await jsonOf(asked.request, MOST_BODY_BYTES, 'JSON'),
    )
    return done === undefined ? missing() : json(done)
  }

  #now(viewer: Viewer, query: URLSearchParams): object {
    this.#measure()
    const { write, showData, owner } = viewer
    return { engine: this.#about.read(viewer, query.has('metrics')), viewer: { write, showData, owner } }
  }

  #measure(): void {
    if (now() - this.#measuredAt < MEMORY_MS) return
    this.#measuredAt = now()
    // Redis may refuse this to the user; the doctor reports it.
    this.#engine.sampleMemory({ streams: 16 }).catch(() => {})
  }
}

function missing(): Answer {
  return refused(404, 'ERR_NOT_FOUND', 'there is no such stream')
}

/** Statuses of the errors whose messages may be shown: they repeat the request. Others may name servers. */
const HARMLESS: Readonly<Record<string, number>> = { ERR_INVALID_ARGUMENT: 400, ERR_NOT_FOUND: 404 }

function failure(error: unknown, words: (error: unknown) => string): Answer {
  const code = error instanceof TidemarkError ? error.code : 'ERR_INTERNAL'
  const harmless = HARMLESS[code]
  if (harmless !== undefined) return refused(harmless, code, (error as TidemarkError).message)
  words(error)
  const isAway = error instanceof TidemarkError && error.retryable
  return refused(isAway ? 503 : 500, code, isAway ? 'the store cannot be reached' : 'something went wrong')
}
