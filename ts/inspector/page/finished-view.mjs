// The groups of the queue of finished generations, with their dead letters.

import { get } from './api.mjs'
import { el } from './dom.mjs'
import { GroupList } from './group-list.mjs'
import { metricsNowAndThen } from './history.mjs'

export class FinishedView {
  name = 'finished'
  title = 'Finished queue'
  #groups = new GroupList(
    'Groups of finished generations',
    'No group waits for finished answers: engine.finished and onFinish make one.',
  )

  constructor() {
    this.element = el(
      'div',
      { class: 'stack' },
      el(
        'div',
        null,
        el('h1', { text: 'Finished queue' }),
        el('p', {
          class: 'soft',
          text: 'Each group gets every generation of every stream when it has ended, at least once. Behind: never handed out; held: handed out and not acknowledged; dead: handed out too often.',
        }),
      ),
      this.#groups.element,
    )
  }

  ask() {
    return get('groups', { metrics: metricsNowAndThen() })
  }

  /** @param {import('../answers').Answers['groups']} answer */
  show({ groups, viewer }) {
    this.#groups.show(groups ?? [], viewer.write)
  }
}
