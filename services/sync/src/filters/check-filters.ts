import { BadPattern, isTag, tagLimit } from '@berth/oci'
import { badField } from '@berth/service'
import { readFilterEntry } from './read-filter.ts'

/** Refuses filters that cannot be read: a 400 that names the entry, the place in it, and what may be there. */
export function checkFilters(remote: { includeTags?: string[]; excludeTags?: string[] }): void {
  for (const field of ['includeTags', 'excludeTags'] as const)
    remote[field]?.forEach((entry, i) => checkEntry(`${field}[${i}]`, entry))
  const counts = remote.includeTags?.flatMap((entry, i) => (entry.startsWith('newest:') ? [i] : [])) ?? []
  if (counts.length > 1)
    throw badField(`includeTags[${counts[1]}]`, 'is the second newest: of the list', 'Leave one of the two.')
  const excluded = remote.excludeTags?.findIndex((entry) => entry.startsWith('newest:')) ?? -1
  if (excluded >= 0)
    throw badField(
      `excludeTags[${excluded}]`,
      'cannot be newest:',
      'It belongs into includeTags, where it chooses after everything else.',
    )
}

function checkEntry(field: string, entry: string): void {
  try {
    const read = readFilterEntry(entry)
    if (read.kind === 'tag') checkTag(read.tag)
  } catch (error) {
    if (!(error instanceof BadPattern)) throw error
    throw badField(
      field,
      `"${entry}" is not a valid filter: ${error.message}`,
      'Use a tag, a pattern with * ? [a-z], sha256:DIGEST, semver:RANGE, or newest:NUMBER.',
    )
  }
}

/** What is written in the characters of tags may be none all the same: by how it begins, or how long it is. */
function checkTag(text: string): void {
  if (isTag(text)) return
  if (/^[.-]/.test(text)) throw new BadPattern(`no tag begins with "${text[0]}"`, 1)
  throw new BadPattern(`a tag has at most ${tagLimit} characters`, tagLimit + 1)
}
