/** What a page has to do with a chat at the moment, for those who follow what begins elsewhere. */
export class Activity {
  /** The last answer of which the page has seen a part: a ULID. */
  generation = ''
  /** The message whose answer is asked for next, if that may have ended already. */
  after: string | undefined
  /** Is told of the messages that an answer is asked for. */
  onAsk: ((messages: readonly unknown[]) => void) | undefined
  /** These messages as they are by now: an answer among them may have gone on. */
  latest: (<Message>(messages: Message[]) => Message[]) | undefined
  /** Is told when nothing is asked for or read any more. */
  onIdle: (() => void) | undefined
  #pending = 0

  get isIdle(): boolean {
    return this.#pending === 0
  }

  begin(): void {
    this.#pending++
  }

  end(): void {
    if (--this.#pending === 0) this.onIdle?.()
  }
}
