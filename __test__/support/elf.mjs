// What a native library needs of glibc.

/**
 * The newest version of glibc that an ELF library names among the versions it needs, such as `2.17`.
 * @param {Buffer} library
 */
export function neededGlibc(library) {
  // The names of versions stand in the string table of the dynamic section, each ended by a NUL.
  const names = library.toString('latin1').matchAll(/\0GLIBC_(\d+)\.(\d+)(?:\.\d+)?(?=\0)/g)
  const versions = [...names].map(([, major, minor]) => /** @type {const} */ ([Number(major), Number(minor)]))
  const newest = versions.sort(([a, b], [c, d]) => c - a || d - b)[0]
  if (!newest) throw new Error('names no version of glibc')
  return newest.join('.')
}
