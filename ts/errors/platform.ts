import { PlatformError, startingAt } from './errors'

/** The platforms with native libraries: package.json's `napi.targets` in Node.js' terms; a test compares the two. */
export const PLATFORMS = ['linux', 'darwin', 'win32'].flatMap((system) => [
  `${system}-x64`,
  `${system}-arm64`,
])

/** The native library cannot be loaded. */
export function platformError(platform: string, cause: unknown): unknown {
  const message = PLATFORMS.includes(platform)
    ? `Tidemark's native library for ${platform} (Node-API ${process.versions.napi}) cannot be loaded. It comes as an ` +
      'optional dependency of tidemark: installing with --omit=optional or --no-optional leaves it out, and so does a ' +
      'lock file that was made on another platform (npm/cli#4828): delete node_modules and the lock file and install ' +
      'again. To install for another platform, name it: `npm ci --os=linux --cpu=x64 --libc=glibc`. The cause says what ' +
      'was tried.'
    : `Tidemark has no native library for ${platform}, only for ${PLATFORMS.join(', ')}; installing again does not help`
  const fields = { message, streamId: null, retryable: false }
  return startingAt(new PlatformError('ERR_PLATFORM', fields, { cause }))
}
