import { StoreError } from './errors'

/** What is nice to have: null if the store refuses it, for want of rights for instance. */
export async function unlessRefused<T>(promise: Promise<T>): Promise<T | null> {
  try {
    return await promise
  } catch (error) {
    if (error instanceof StoreError) return null
    throw error
  }
}
