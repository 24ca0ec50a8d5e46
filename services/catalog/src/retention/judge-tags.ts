import type { Digest } from '@berth/oci'
import { newestFirst, parseTagPattern } from '@berth/oci'
import type { RetentionRule } from '../settings/retention-rules.ts'

/** Why a tag stays or goes. `companion`: it does what its manifest does, and no rule looks at it. */
type TagReason =
  | 'unmatched'
  | 'newest'
  | 'pushed'
  | 'pulled'
  | 'companion'
  | 'immutable'
  | 'pinned'
  | 'nothing_keeps_it'

/** What is known of a tag; times in milliseconds since 1970. */
export type TagFacts = {
  tag: string
  digest: Digest
  pushedAt: number
  pulledAt: number | null
  isCompanion: boolean
  isImmutable: boolean
  isPinned: boolean
}
export type TagVerdict = TagFacts & {
  goes: boolean
  reason: TagReason
  /** The rule that keeps it, or the first that matches one that goes. */
  rule: number | null
}

const dayMs = 86_400_000

/** Judges the tags of a repository by its rules, as they are said in the API (schema `Retention`). */
export function judgeTags(rules: readonly RetentionRule[], tags: readonly TagFacts[], nowMs: number): TagVerdict[] {
  const ordinary = tags.filter((tag) => !tag.isCompanion)
  const readers = rules.map((rule) => readRule(rule, ordinary, nowMs))
  return tags.map((tag) => {
    if (tag.isCompanion) return { ...tag, goes: false, reason: 'companion', rule: null }
    let first: number | null = null
    for (const [i, reader] of readers.entries()) {
      if (!reader.matches(tag)) continue
      first ??= i
      const reason = reader.keeps(tag)
      if (reason) return { ...tag, goes: false, reason, rule: i }
    }
    if (first === null) return { ...tag, goes: false, reason: 'unmatched', rule: null }
    if (tag.isImmutable) return { ...tag, goes: false, reason: 'immutable', rule: first }
    if (tag.isPinned) return { ...tag, goes: false, reason: 'pinned', rule: first }
    return { ...tag, goes: true, reason: 'nothing_keeps_it', rule: first }
  })
}

function readRule(rule: RetentionRule, tags: readonly TagFacts[], nowMs: number) {
  const patterns = rule.tags.map(parseTagPattern)
  const matching = new Set(tags.filter(({ tag }) => patterns.some((pattern) => pattern.matches(tag))))
  const newest = new Set(newestOf([...matching], rule.keepNewest ?? 0))
  const isWithin = (time: number | null, days: number | undefined) =>
    days !== undefined && time !== null && time >= nowMs - days * dayMs
  return {
    matches: (tag: TagFacts) => matching.has(tag),
    keeps: (tag: TagFacts): TagReason | undefined => {
      if (newest.has(tag)) return 'newest'
      if (isWithin(tag.pushedAt, rule.pushedWithinDays)) return 'pushed'
      if (isWithin(tag.pulledAt, rule.pulledWithinDays)) return 'pulled'
      return undefined
    },
  }
}

/** Of tags that came at once, as those of one sync do, those that a remote's `newest:N` takes first. */
function newestOf(tags: TagFacts[], count: number): TagFacts[] {
  if (count === 0) return []
  const places = new Map(newestFirst(tags.map(({ tag }) => tag)).map((tag, place) => [tag, place]))
  const placeOf = ({ tag }: TagFacts) => places.get(tag) ?? tags.length
  return tags.sort((a, b) => b.pushedAt - a.pushedAt || placeOf(a) - placeOf(b)).slice(0, count)
}
