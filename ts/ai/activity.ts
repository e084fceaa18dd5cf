/** What a page is doing with a chat, for those who follow answers that begin elsewhere. */
export class Activity {
  /** The last answer of which the page has seen a part: a ULID. */
  generation = ''
  /** The message whose answer is requested next, if that answer may have ended already. */
  after: string | undefined
  /** Called with the messages for which an answer is requested. */
  onAsk: ((messages: readonly unknown[]) => void) | undefined
  /** The current state of these messages: an answer among them may have grown. */
  latest: (<Message>(messages: Message[]) => Message[]) | undefined
  /** Called when nothing is requested or read any more. */
  onIdle: (() => void) | undefined
  /** How many answers the page has asked for. */
  asks = 0
  /** The last answer of which it had seen a part when it asked. */
  past = ''
  /** Whether the application was told last that the connection is lost. */
  isLost = false
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
