import { type Glob, parseGlob } from './glob.ts'

/** A pattern of tags: a glob over the characters that tags have. */
export type TagPattern = Glob

/** Reads a pattern of tags. Throws `BadPattern`. */
export function parseTagPattern(text: string): TagPattern {
  return parseGlob(text, /[A-Za-z0-9._-]/, 'a tag')
}

/** Chooses tags: those that an include matches (all, when there is none) and no exclude. */
export function createTagFilter(
  include: readonly string[],
  exclude: readonly string[],
): { exact: string[] | undefined; wants: (tag: string) => boolean } {
  const wanted = include.map(parseTagPattern)
  const unwanted = exclude.map(parseTagPattern)
  const wants = (tag: string) =>
    (wanted.length === 0 || wanted.some((pattern) => pattern.matches(tag))) &&
    !unwanted.some((pattern) => pattern.matches(tag))
  const allExact = wanted.length > 0 && wanted.every((pattern) => pattern.isExact)
  return { exact: allExact ? wanted.map((pattern) => pattern.text).filter(wants) : undefined, wants }
}
