// Refusals below `__ds`, and answers in JSON.

import type { Answer } from '../../http/asked'
import { answer, Refusal } from '../answers'
import { generationOfToken } from './keys'
import type { Refused, Subscription, Word } from './state'

const REFUSED: Record<Refused, string> = {
  FENCED: 'the wake is over, or was never this one',
  ALREADY_CLAIMED: 'another worker has it',
  NO_PENDING_WORK: 'there is nothing to do',
  INVALID_OFFSET:
    'an offset is that of a stream of the subscription, neither before its cursor nor beyond its end',
}

/** The subscription that the token is of. */
export function checkToken(subscription: Subscription | null, token: string, word: Word): Subscription {
  if (subscription === null) throw gone()
  const generation = generationOfToken(token, subscription)
  if (generation === undefined) {
    throw new Refusal(401, 'TOKEN_INVALID', 'the token is not of this subscription', {
      'WWW-Authenticate': 'Bearer',
    })
  }
  if (generation !== word.generation) throw refused('FENCED')
  return subscription
}

export function checkOwner(subscription: Subscription, { owner }: { owner: string | null }): void {
  if (subscription.owner !== null && subscription.owner !== owner) {
    throw new Refusal(403, 'FORBIDDEN', 'it belongs to another owner')
  }
}

export function missing(message: string): Refusal {
  return new Refusal(404, 'SUBSCRIPTION_NOT_FOUND', message)
}

export function gone(): Refusal {
  return missing('there is no such subscription')
}

export function refused(code: Refused, more: object = {}): Refusal {
  return new ControlRefusal(code, more)
}

/** A refusal that says more than why. */
class ControlRefusal extends Refusal {
  readonly more: object

  constructor(code: Refused, more: object) {
    super(409, code, REFUSED[code])
    this.more = more
  }
}

/** The answer to a refused request below `__ds`: of another form than those of streams. */
export function controlRefusal(refusal: Refusal): Answer {
  const { status, code, message, headers } = refusal
  const more = refusal instanceof ControlRefusal ? refusal.more : {}
  return json(status, { error: { code: code.toUpperCase(), message, ...more } }, headers)
}

export function json(
  status: number,
  value: object,
  headers: Record<string, string | undefined> = {},
): Answer {
  const fields = { 'Content-Type': 'application/json', 'Cache-Control': 'no-store', ...headers }
  return answer(status, fields, JSON.stringify(value))
}
