import { BadPattern, parseTagPattern } from '@berth/oci'
import { badField } from '@berth/service'

/** Which tags a rule is about, and what keeps them; one of the keeps is enough. */
export type RetentionRule = {
  /** Names, or patterns of them. */
  tags: string[]
  /** The newest of the tags that the patterns match. */
  keepNewest?: number
  pushedWithinDays?: number
  pulledWithinDays?: number
}
/** What goes by itself in time. Without `untaggedDays` untagged manifests stay. */
export type Retention = { rules?: RetentionRule[]; untaggedDays?: number }

/** Checks what the schema of the API cannot. Throws 400 that names the field. */
export function checkRetention(retention: Retention, field = 'retention'): void {
  for (const [i, rule] of (retention.rules ?? []).entries()) {
    const { keepNewest, pushedWithinDays, pulledWithinDays } = rule
    // A rule that keeps nothing is one whose keeps were forgotten: it would take all of its tags.
    if (keepNewest === undefined && pushedWithinDays === undefined && pulledWithinDays === undefined)
      throw badField(
        `${field}.rules[${i}]`,
        'keeps nothing',
        'Give keepNewest, pushedWithinDays or pulledWithinDays; to take tags away for good, delete them.',
      )
    for (const [j, pattern] of rule.tags.entries()) checkPattern(pattern, `${field}.rules[${i}].tags[${j}]`)
  }
}

/** Throws 400 for a pattern of tags that makes no sense. */
export function checkPattern(pattern: string, field: string): void {
  try {
    parseTagPattern(pattern)
  } catch (error) {
    if (!(error instanceof BadPattern)) throw error
    throw badField(field, error.message, 'Use * for any characters, ? for one, [a-z] for one of a set.')
  }
}
