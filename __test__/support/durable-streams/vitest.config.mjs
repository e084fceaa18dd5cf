// A busy machine needs its time.
export default {
  root: import.meta.dirname,
  test: { include: ['suite.mjs'], testTimeout: 30_000, hookTimeout: 30_000 },
}
