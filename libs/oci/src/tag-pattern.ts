import { type Glob, parseGlob } from './glob.ts'

/** A pattern of tags: a glob over the characters that tags have. */
export type TagPattern = Glob

/** Reads a pattern of tags. Throws `BadPattern`. */
export function parseTagPattern(text: string): TagPattern {
  return parseGlob(text, /[A-Za-z0-9._-]/, 'a tag')
}
