// The control API: sections 6 and 7 of the protocol.

import type { Answer, Asked } from '../../http/asked'
import { answer, Refusal } from '../answers'
import { FIRST } from '../offsets'
import { type ControlOptions, create } from './create'
import { globOf } from './growth'
import { Keeper } from './keeper'
import { newWakeId, tokenOf } from './keys'
import { checkOwner, checkToken, gone, json, missing, refused } from './refusals'
import { invalid, jsonOf, type Route, routeOf, streamsIn, tokenIn, wordIn, workerIn } from './requests'
import { crowded, type Step } from './shelf'
import { shown, streamsOf } from './shown'
import { acknowledge, awake, claim, link, release, type Subscription, unlink } from './state'
import { tailsOf } from './tails'

export class Control {
  readonly #options: ControlOptions
  readonly #keeper: Keeper

  constructor(options: ControlOptions) {
    this.#options = options
    this.#keeper = new Keeper(options)
  }

  /** Answers a request for a path below `__ds/`. */
  async handle(asked: Asked, path: string): Promise<Answer | Response> {
    const route = routeOf(path)
    if (route === 'jwks') return this.#jwks(asked)
    if (route === undefined) throw missing('there is nothing here')
    const { method } = asked
    switch (`${method} ${route.action}`) {
      case 'PUT subscription':
        return create(this.#options, this.#keeper, asked, route.id)
      case 'POST callback':
      case 'POST ack':
        return this.#acknowledge(asked, route)
      case 'POST release':
        return this.#release(asked, route.id)
      case 'GET subscription':
      case 'DELETE subscription':
      case 'POST streams':
      case 'DELETE stream':
      case 'POST claim':
        return this.#own(asked, route)
      default:
        throw new Refusal(405, 'METHOD_NOT_ALLOWED', `${method} is not one of this path's methods`)
    }
  }

  #jwks({ method }: Asked): Answer {
    const { keys } = this.#options
    if (keys === undefined) throw missing('this server signs nothing')
    if (method !== 'GET' && method !== 'HEAD') throw new Refusal(405, 'METHOD_NOT_ALLOWED', 'GET or HEAD')
    const fields = { 'Content-Type': 'application/jwk-set+json', 'Cache-Control': 'public, max-age=300' }
    return answer(200, fields, method === 'GET' ? keys.jwks : null)
  }

  /** What only those may do who may subscribe. */
  async #own(asked: Asked, route: Route): Promise<Answer | Response> {
    const { permit, keys } = this.#options
    const { shelf } = this.#keeper
    const caller = await permit(asked, route.id, 'subscribe')
    if (caller instanceof Response) return caller
    const change = (how: (subscription: Subscription, now: number) => Step<Answer> | Promise<Step<Answer>>) =>
      shelf.change(route.id, (subscription, now) => {
        if (subscription === null) throw gone()
        checkOwner(subscription, caller)
        return how(subscription, now)
      })
    switch (route.action) {
      case 'streams':
        return this.#link(asked, change)
      case 'stream':
        return change((subscription) => {
          // What the pattern matches too stays, with its cursor.
          const isGlob = globOf(subscription.config)?.(route.path) === true
          const known = subscription.links.some(({ path }) => path === route.path)
          const kept = isGlob && known ? link(subscription, route.path, 'glob', FIRST) : null
          const next = unlink(kept ?? subscription, route.path, 'explicit')
          return { next, answer: answer(204), isNews: true }
        })
      case 'claim': {
        const worker = workerIn(await jsonOf(asked))
        return change((subscription, now) => this.#claim(subscription, worker, now))
      }
      default:
        if (asked.method === 'GET') {
          return change((subscription) => ({ answer: json(200, shown(subscription, keys)) }))
        }
        return shelf.change(route.id, (subscription) => {
          if (subscription !== null) checkOwner(subscription, caller)
          return { next: null, answer: answer(204), isNews: true }
        })
    }
  }

  async #link(
    asked: Asked,
    change: (how: (subscription: Subscription) => Step<Answer>) => Promise<Answer>,
  ): Promise<Answer | Response> {
    const paths = streamsIn(await jsonOf(asked))
    const permissions = await Promise.all(paths.map((path) => this.#options.permit(asked, path, 'read')))
    const refused = permissions.find((each) => each instanceof Response)
    if (refused !== undefined) return refused as Response
    const tails = await tailsOf(this.#options.engine, paths)
    return change((subscription) => {
      const next = paths.reduce((changed: Subscription, path) => {
        const more = link(changed, path, 'explicit', tails.get(path)?.offset ?? FIRST)
        if (more === null) throw crowded()
        return more
      }, subscription)
      return { next, answer: answer(204), isNews: true }
    })
  }

  async #claim(subscription: Subscription, worker: string, now: number): Promise<Step<Answer>> {
    if (subscription.config.type !== 'pull-wake') throw invalid('its wakes are webhooks')
    const tails = await this.#keeper.tails(subscription)
    const next = claim(subscription, worker, tails, now, newWakeId())
    if (next === 'ALREADY_CLAIMED') {
      const { generation, wake } = subscription
      throw refused(next, { current_holder: wake?.holder, generation })
    }
    if (typeof next === 'string') throw refused(next)
    const claimed = {
      wake_id: next.wake?.id,
      generation: next.generation,
      token: tokenOf(next, next.generation),
      streams: streamsOf(next),
      lease_ttl_ms: next.config.leaseMs,
    }
    return { next, answer: json(200, claimed) }
  }

  async #acknowledge(asked: Asked, { id, action }: Route): Promise<Answer> {
    const token = tokenIn(asked)
    const word = wordIn(await jsonOf(asked))
    return this.#keeper.shelf.change(id, async (subscription, now) => {
      const held = checkToken(subscription, token, word)
      if ((held.config.type === 'webhook') !== (action === 'callback')) {
        throw invalid(`its wakes are acknowledged at ${action === 'callback' ? 'ack' : 'callback'}`)
      }
      const named = new Set(word.acks.map(({ stream }) => stream))
      // Whoever is done is told whether there is more in any of them.
      const looked = held.links.filter(({ path }) => word.isDone || named.has(path))
      const ends = await tailsOf(
        this.#options.engine,
        looked.map(({ path }) => path),
      )
      const acked = acknowledge(held, word, ends, now)
      if (typeof acked === 'string') throw refused(acked)
      const next = word.isDone ? awake(acked, ends, now, newWakeId()) : acked
      return { next, answer: json(200, { ok: true, next_wake: word.isDone && next.wake !== null }) }
    })
  }

  async #release(asked: Asked, id: string): Promise<Answer> {
    const token = tokenIn(asked)
    const word = wordIn(await jsonOf(asked))
    return this.#keeper.shelf.change(id, async (subscription, now) => {
      const held = checkToken(subscription, token, word)
      if (held.config.type !== 'pull-wake') throw invalid('its wakes are webhooks')
      const released = release(held, word, now)
      if (typeof released === 'string') throw refused(released)
      const next = awake(released, await this.#keeper.tails(released), now, newWakeId())
      return { next, answer: answer(204) }
    })
  }
}
