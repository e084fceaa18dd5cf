// Creates a subscription, or confirms that it is there.

import type { Engine } from '../../core/engine'
import type { Answer, Asked } from '../../http/asked'
import { Refusal } from '../answers'
import { FIRST } from '../offsets'
import { refusedUrl } from './addresses'
import { globOf } from './growth'
import type { Keeper } from './keeper'
import { type SigningKeys, secret } from './keys'
import { isSame } from './record'
import { checkOwner, gone, json } from './refusals'
import { configIn, invalid, jsonOf } from './requests'
import { crowded, type Step } from './shelf'
import { shown } from './shown'
import { type Config, isOthers, link, MOST_LINKS, type Subscription, type Tails } from './state'
import { tailsOf } from './tails'

export interface ControlOptions {
  engine: Engine
  prefix: string
  /** What the streams' URLs begin with, if that is not the request's own. */
  origin: string | undefined
  keys: SigningKeys | undefined
  allowLocalhost: boolean
  over: AbortSignal
  onError: ((error: unknown) => unknown) | undefined
  /** Whether a request may do something with a subscription, or with a stream or pattern: the owner, or a response that is the answer. */
  permit: (
    asked: Asked,
    id: string,
    action: 'subscribe' | 'match' | 'read' | 'append',
  ) => Promise<{ owner: string | null } | Response>
}

export async function create(
  options: ControlOptions,
  keeper: Keeper,
  asked: Asked,
  id: string,
): Promise<Answer | Response> {
  const { permit, engine, keys } = options
  const creator = await permit(asked, id, 'subscribe')
  if (creator instanceof Response) return creator
  const config = configIn(await jsonOf(asked))
  checkTarget(options, config)
  const { pattern, streams, wakeStream } = config
  const permissions = await Promise.all([
    ...(pattern === null ? [] : [permit(asked, pattern, 'match')]),
    ...streams.map((path) => permit(asked, path, 'read')),
    ...(wakeStream === null ? [] : [permit(asked, wakeStream, 'append')]),
  ])
  const no = permissions.find((each) => each instanceof Response)
  if (no !== undefined) return no as Response
  const there = await keeper.shelf.get(id)
  const tails: Tails = there === null ? await present(engine, config, creator) : new Map()
  const { prefix, origin = asked.url.origin } = options
  const blank = { id, config, owner: creator.owner, instance: engine.ulid(), base: `${origin}${prefix}` }
  const made = await keeper.shelf.change(id, (subscription, now): Step<Subscription | null> => {
    if (subscription === null) {
      const next = begin(blank, tails, now)
      return { next, answer: next, isNews: true }
    }
    checkOwner(subscription, creator)
    if (isSame(subscription.config, config)) return { answer: null }
    throw new Refusal(409, 'SUBSCRIPTION_ALREADY_EXISTS', 'it exists with another configuration')
  })
  const subscription = made ?? (await keeper.shelf.get(id))
  if (subscription === null) throw gone()
  if (made !== null && pattern !== null) await keeper.seek(made.createdAt)
  return json(made === null ? 200 : 201, shown(subscription, keys))
}

function checkTarget({ keys, allowLocalhost }: ControlOptions, { url }: Config): void {
  if (url === null) return
  if (keys === undefined) throw invalid('this server has no keys to sign webhooks with')
  const why = refusedUrl(url, allowLocalhost)
  if (why !== undefined) throw new Refusal(400, 'WEBHOOK_URL_REJECTED', why)
}

/** The streams that it is to begin with, and where they end. */
async function present(engine: Engine, config: Config, creator: { owner: string | null }): Promise<Tails> {
  const present = new Map(await tailsOf(engine, config.streams))
  const isGlob = globOf(config)
  if (isGlob === undefined) return present
  for await (const ids of engine.listing()) {
    const matching = ids.filter((id) => isGlob(id) && !present.has(id))
    for (const [id, tail] of await tailsOf(engine, matching)) {
      if (tail !== null && !isOthers(creator, tail)) present.set(id, tail)
    }
    if (present.size > MOST_LINKS) throw crowded()
  }
  return present
}

type Blank = Pick<Subscription, 'id' | 'config' | 'owner' | 'instance' | 'base'>

/** Streams that are there are begun at their ends. */
function begin(blank: Blank, tails: Tails, now: number): Subscription {
  const { config } = blank
  const empty: Subscription = {
    ...blank,
    secret: secret(),
    createdAt: now,
    generation: 0,
    failures: 0,
    wake: null,
    links: [],
  }
  const add = (made: Subscription, path: string, kind: 'glob' | 'explicit') =>
    link(made, path, kind, tails.get(path)?.offset ?? FIRST) ?? made
  const named = config.streams.reduce((made, path) => add(made, path, 'explicit'), empty)
  const isGlob = globOf(config)
  const matching = [...tails].filter(
    ([path, tail]) => tail !== null && !isOthers(blank, tail) && isGlob?.(path),
  )
  return matching.reduce((made, [path]) => add(made, path, 'glob'), named)
}
