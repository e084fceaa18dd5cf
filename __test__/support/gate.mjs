/** A promise that the test settles when it is time. */
export function gate() {
  /** @type {() => void} */
  let open = () => {}
  const opened = /** @type {Promise<void>} */ (
    new Promise((resolve) => {
      open = resolve
    })
  )
  return { open, opened }
}
