/** A word of a shell that is taken as it is. */
export function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`
}

/** A command line of words that are taken as they are. */
export function commandOf(words: readonly string[]): string {
  return words.map(quote).join(' ')
}
