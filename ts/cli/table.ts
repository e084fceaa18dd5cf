/** Characters that take two columns of a terminal, and characters that take none. */
const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u
const NARROWED = /\p{Mn}|\p{Me}|\p{Cf}/u

/** About how many columns of a terminal a text takes; Chinese, Japanese, Korean and emoji characters take two. */
export function width(text: string): number {
  let columns = 0
  for (const character of text) columns += WIDE.test(character) ? 2 : NARROWED.test(character) ? 0 : 1
  return columns
}

/** The text in so many columns. Of a longer one the middle is left out, since ids differ at their ends. */
export function cut(text: string, columns: number): string {
  if (width(text) <= columns) return text
  const characters = [...text]
  const left = Math.ceil((columns - 1) / 2)
  const head = fit(characters, left)
  const tail = fit(characters.toReversed(), columns - 1 - left)
  return `${head.join('')}…${tail.toReversed().join('')}`
}

/** As many of the characters as fit. */
function fit(characters: string[], columns: number): string[] {
  let used = 0
  const end = characters.findIndex((character) => {
    used += width(character)
    return used > columns
  })
  return end < 0 ? characters : characters.slice(0, end)
}

/** The text, padded with blanks to this width. */
export function pad(text: string, columns: number): string {
  return text + ' '.repeat(Math.max(0, columns - width(text)))
}
