import { ignore } from '../util/deferred'

/** A stream that is written from outside. Its failure comes after its text, so only a reader that reads that far gets it. */
export class PushStream {
  readonly stream: ReadableStream<string>
  #controller: ReadableStreamDefaultController<string> | undefined
  #end: { error?: unknown } | undefined
  #isAwaited = false
  #isLeft = false

  constructor(onCancel: () => void = ignore) {
    this.stream = new ReadableStream<string>(
      {
        start: (controller) => {
          this.#controller = controller
        },
        pull: () => {
          this.#isAwaited = true
          this.#settle()
        },
        cancel: () => {
          this.#isLeft = true
          onCancel()
        },
      },
      // Called when a read waits and nothing is there.
      { highWaterMark: 0 },
    )
  }

  write(text: string): void {
    if (this.#isLeft || this.#end !== undefined) return
    this.#isAwaited = false
    this.#controller?.enqueue(text)
  }

  close(): void {
    this.#finish({})
  }

  fail(error: unknown): void {
    this.#finish({ error })
  }

  #finish(end: { error?: unknown }): void {
    this.#end ??= end
    this.#settle()
  }

  #settle(): void {
    if (this.#isLeft || !this.#isAwaited || this.#end === undefined) return
    this.#isLeft = true
    if ('error' in this.#end) this.#controller?.error(this.#end.error)
    else this.#controller?.close()
  }
}
