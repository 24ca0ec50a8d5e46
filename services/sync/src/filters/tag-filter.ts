import { type Digest, newestFirst } from '@berth/oci'
import { companionStem } from '@berth/signatures'
import { type FilterEntry, readFilterEntry } from './read-filter.ts'

/** What a remote's filters choose. */
export type TagFilter = {
  /** Tags that are wanted by their name. */
  exact: readonly string[]
  /** Manifests that are wanted by their digest, with no tag. */
  digests: readonly Digest[]
  /** Whether upstream's tags must be listed; if not, `exact` and `digests` are all. */
  needsList: boolean
  /** Whether a listed tag is wanted; with `newest:` it is then one of those that `newest` chooses from. */
  wants(tag: string): boolean
  /** Of all listed tags that are wanted, those that stay. */
  newest(wanted: readonly string[]): readonly string[]
  /** Whether a manifest, and every tag that points at it, is left out. */
  excludes(digest: Digest): boolean
}

/**
 * Chooses in this order: what an include matches (every tag, where includes say no more than `newest:`); less what an exclude
 * matches; of that, where there is `newest:N`, the newest N, beside which tags that are included by name always stay.
 * Companion tags come with what they belong to, and only when they are named themselves are they chosen here.
 */
export function createTagFilter(include: readonly string[], exclude: readonly string[]): TagFilter {
  const wanted = include.map(readFilterEntry)
  const unwanted = exclude.map(readFilterEntry)
  const counts = wanted.flatMap((entry) => (entry.kind === 'newest' ? [entry.count] : []))
  const digestsLeftOut = new Set(unwanted.flatMap((entry) => (entry.kind === 'digest' ? [entry.digest] : [])))
  const named = new Set(wanted.flatMap((entry) => (entry.kind === 'tag' ? [entry.tag] : [])))
  const some = wanted.filter((entry) => entry.kind === 'some')
  const takesAll = some.length === 0 && (wanted.length === 0 || counts.length > 0)
  const isLeftOut = (tag: string) => unwanted.some((entry) => matches(entry, tag))
  const isChosen = (tag: string) =>
    named.has(tag) || (companionStem(tag) === undefined && (takesAll || some.some((entry) => entry.matches(tag))))
  return {
    exact: [...named].filter((tag) => !isLeftOut(tag)),
    digests: wanted.flatMap((entry) =>
      entry.kind === 'digest' && !digestsLeftOut.has(entry.digest) ? [entry.digest] : [],
    ),
    needsList: takesAll || some.length > 0,
    wants: (tag) => isChosen(tag) && !isLeftOut(tag),
    newest: (tags) => {
      if (counts.length === 0) return tags
      const others = newestFirst(tags.filter((tag) => !named.has(tag)))
      return [...tags.filter((tag) => named.has(tag)), ...others.slice(0, Math.max(...counts))]
    },
    excludes: (digest) => digestsLeftOut.has(digest),
  }
}

function matches(entry: FilterEntry, tag: string): boolean {
  if (entry.kind === 'tag') return entry.tag === tag
  return entry.kind === 'some' && entry.matches(tag)
}
