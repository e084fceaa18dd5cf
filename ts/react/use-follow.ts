import { useEffect, useRef, useState } from 'react'
import { Following, type FollowState, type FollowStatus, type UseFollowOptions } from './following.js'
import { isServer } from './server.js'

export type { FollowState, FollowStatus, UseFollowOptions }

/**
 * Follows a stream while the component is mounted, from its beginning or from where it was left, and reconnects as
 * `follow` of `tidemark/client` does. Renders at most once per frame, however fast chunks arrive. A new URL is a new stream.
 *
 * @param url of `engine.respond`; null: nothing to follow
 */
export function useFollow<T = undefined>(
  url: string | URL | null,
  options: UseFollowOptions<T> = {},
): FollowState<T> {
  const href = url === null ? null : String(url)
  if (isServer()) return new Following(href, () => options, options.initial).state
  return useFollowed(href, options)
}

function useFollowed<T>(href: string | null, options: UseFollowOptions<T>): FollowState<T> {
  const latest = useRef(options)
  useEffect(() => {
    latest.current = options
  })
  const [current, setCurrent] = useState(() => new Following(href, () => latest.current, options.initial))
  let following = current
  if (current.url !== href) {
    following = new Following(href, () => latest.current, options.initial)
    setCurrent(following)
  }
  const [shown, setShown] = useState({ following, state: following.state })
  useEffect(() => following.open((state) => setShown({ following, state })), [following])
  return shown.following === following ? shown.state : following.state
}
