/** A word of a shell that is taken as it is. */
export function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`
}

/** A command line of words that are taken as they are. */
export function commandOf(words: readonly string[]): string {
  return words.map(quote).join(' ')
}

/** Tar, by GNU with reads and writes of 64 KiB where it would take 10; other programs of the name do not look for this. */
export const tar = 'TAR_OPTIONS=--blocking-factor=128 tar'
