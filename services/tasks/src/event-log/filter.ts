import { allEvents } from '@berth/bus'
import { BadPattern, type Glob, parseGlob, parseRepositoryPattern } from '@berth/oci'
import { badField, Problem } from '@berth/service'

/** Which events are meant: by the tail of their subject, and by the repositories that they are about. Empty lists mean all. */
export type Wanted = { events: readonly string[]; repositories: readonly string[] }
/** Whether an event is meant. */
export type EventFilter = (event: { tail: string; repositories: readonly string[] }) => boolean

/**
 * As `createFilter` of what was read once: an event that is no more in a later release is never, and keeps nothing else from being
 * meant.
 */
export function recreateFilter({ events, repositories }: Wanted): EventFilter {
  const filters = (events.length === 0 ? [[]] : events.map((one) => [one])).flatMap((one) => {
    try {
      return [createFilter({ events: one, repositories })]
    } catch (error) {
      if (error instanceof Problem) return []
      throw error
    }
  })
  return (event) => filters.some((filter) => filter(event))
}

/** Reads what is wanted. Throws 400 that names the field and the character. */
export function createFilter(wanted: Wanted): EventFilter {
  const events = wanted.events.map((text, i) => readEvents(`events[${i}]`, text))
  const repositories = wanted.repositories.map((text, i) =>
    read(`repositories[${i}]`, () => parseRepositoryPattern(text)),
  )
  const any = (globs: readonly Glob[], names: readonly string[]) =>
    globs.length === 0 || globs.some((glob) => names.some((name) => glob.matches(name)))
  return (event) => any(events, [event.tail]) && any(repositories, event.repositories)
}

const tails = allEvents.map(({ source, name }) => `${source}.${name}`)

/** A glob that no event has is a slip of the pen, and would be waited for in vain. */
function readEvents(field: string, text: string): Glob {
  const glob = read(field, () => parseGlob(text, /[a-z.-]/, 'an event'))
  if (!tails.some((tail) => glob.matches(tail)))
    throw badField(field, `"${text}" is no event`, 'docs/reference/events.md lists them, as catalog.version.created.')
  return glob
}

function read(field: string, parse: () => Glob): Glob {
  try {
    return parse()
  } catch (error) {
    if (!(error instanceof BadPattern)) throw error
    throw badField(field, error.message, 'As in catalog.version.* or team/*.')
  }
}
