import type { Running } from '@berth/host'
import type { Database } from '@berth/service'
import { eventsLogged, logEvents } from './log-event.ts'
import { createOwners, type OwnersOf } from './owners.ts'
import type { Tail } from './tail.ts'

const sources = ['auth', 'catalog', 'registry', 'sync', 'tasks'] as const

/** Writes all that is announced into the log. What was missed for longer than it is kept anywhere is not made up. */
export function followAll(
  { follow }: Running,
  { db, owners: peers, tail, builds }: { db: Database; owners: OwnersOf; tail: Tail; builds: boolean },
): void {
  const owners = createOwners(peers)
  db.onCommit(eventsLogged, () => tail.wake())
  // Where nothing is built there need be no such service.
  for (const source of builds ? ([...sources, 'build'] as const) : sources)
    follow({
      consumer: `tasks-${source}`,
      source,
      prepare: (event) => owners.learn(event),
      handle: (sql, event) => logEvents(sql, [event], owners),
      handleTogether: (sql, events) => logEvents(sql, events, owners),
    })
}
