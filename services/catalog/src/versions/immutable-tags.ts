import { parseTagPattern } from '@berth/oci'
import { Problem } from '@berth/service'
import type { LockedRepository } from './locked-repository.ts'
import type { TagChange } from './tag-change.ts'

const mostNamed = 10
export const immutableHint = 'Use another tag, or change the immutableTags of the repository.'

/**
 * Refuses a version that would move or delete an immutable tag. Asked where every version is made, so no door leads around
 * it: push, delete, sync, rollback, curation, retention (docs/guarantees.md, G9). A tag that is new may be made.
 */
export function keepImmutable(
  repository: Pick<LockedRepository, 'name' | 'immutableTags'>,
  changes: readonly Pick<TagChange, 'tag' | 'from'>[],
): void {
  if (repository.immutableTags.length === 0) return
  const patterns = repository.immutableTags.map(parseTagPattern)
  const touched = changes.filter(
    ({ tag, from }) => from !== undefined && patterns.some((pattern) => pattern.matches(tag)),
  )
  if (touched.length === 0) return
  const names = touched.slice(0, mostNamed).map(({ tag }) => tag)
  throw new Problem(
    403,
    'tag_immutable',
    `${sayImmutable(repository.name, names, touched.length)}; nothing was changed.`,
    { hint: immutableHint, more: { tags: names } },
  )
}

/** Says which tags hold a change up: of very many the first. */
export function sayImmutable(repository: string, names: readonly string[], count: number): string {
  return count === 1
    ? `The tag ${names[0]} of ${repository} is immutable`
    : `${count} tags of ${repository} are immutable, among them ${names.slice(0, mostNamed).join(', ')}`
}
