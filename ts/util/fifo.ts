/** A queue whose `shift` costs the same however long it is. */
export class Fifo<T> {
  #size = 0
  /** Most queues hold one item at most. An array that is emptied and filled again would be made anew each time. */
  #first: T | undefined
  #rest: T[] = []
  #head = 0

  get size(): number {
    return this.#size
  }

  first(): T | undefined {
    return this.#first
  }

  last(): T | undefined {
    return this.#size > 1 ? this.#rest[this.#rest.length - 1] : this.#first
  }

  push(item: T): void {
    if (this.#size++ === 0) this.#first = item
    else this.#rest.push(item)
  }

  shift(): T | undefined {
    if (this.#size === 0) return undefined
    const item = this.#first
    this.#first = --this.#size === 0 ? undefined : this.#next()
    return item
  }

  clear(): void {
    this.#size = 0
    this.#first = undefined
    this.#rest = []
    this.#head = 0
  }

  #next(): T | undefined {
    const item = this.#rest[this.#head]
    this.#rest[this.#head++] = undefined as T
    if (this.#head === this.#rest.length) {
      this.#rest.length = 0
      this.#head = 0
    } else if (this.#head >= 1024 && this.#head * 2 >= this.#rest.length) {
      this.#rest.splice(0, this.#head)
      this.#head = 0
    }
    return item
  }
}
