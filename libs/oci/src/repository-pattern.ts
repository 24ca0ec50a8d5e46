import { BadPattern, type Glob, parseGlob } from './glob.ts'
import { isRepositoryName } from './names.ts'

/**
 * Reads a pattern of repository names: a name, or a glob whose `*` also stands for slashes. Throws `BadPattern`.
 */
export function parseRepositoryPattern(text: string): Glob {
  const glob = parseGlob(text, /[a-z0-9._/-]/, 'a repository name')
  if (glob.isExact && !isRepositoryName(text)) throw new BadPattern(`"${text}" is not a repository name`, 1)
  return glob
}
