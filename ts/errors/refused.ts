import { StoreError } from './errors'

/** An optional value: null if the store refuses it, for instance because a right is missing. */
export async function unlessRefused<T>(promise: Promise<T>): Promise<T | null> {
  try {
    return await promise
  } catch (error) {
    if (error instanceof StoreError) return null
    throw error
  }
}
