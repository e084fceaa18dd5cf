/** What was probably meant, as the end of a sentence; empty if no known word is similar. */
export function suggestion(word: string, known: readonly string[]): string {
  const near = known
    .map((name) => ({ name, distance: distance(word.toLowerCase(), name.toLowerCase()) }))
    .filter(({ name, distance }) => distance <= Math.max(1, Math.floor(name.length / 3)))
    .sort((one, other) => one.distance - other.distance)
  const begun = known.filter((name) => word.length >= 2 && name.toLowerCase().startsWith(word.toLowerCase()))
  const found = near[0]?.name ?? (begun.length === 1 ? begun[0] : undefined)
  return found === undefined ? '' : `; did you mean ${found}?`
}

/** The edit distance: letters that are changed, removed, inserted, or swapped with the next one. */
function distance(one: string, other: string): number {
  let [before, last]: [number[], number[]] = [[], Array.from({ length: other.length + 1 }, (_, at) => at)]
  for (let row = 1; row <= one.length; row++) {
    const line = [row]
    for (let at = 1; at <= other.length; at++) {
      const isSame = one[row - 1] === other[at - 1]
      const changed = (last[at - 1] as number) + (isSame ? 0 : 1)
      let least = Math.min(changed, (last[at] as number) + 1, (line[at - 1] as number) + 1)
      if (row > 1 && at > 1 && one[row - 1] === other[at - 2] && one[row - 2] === other[at - 1])
        least = Math.min(least, (before[at - 2] as number) + 1)
      line.push(least)
    }
    ;[before, last] = [last, line]
  }
  return last[other.length] as number
}
