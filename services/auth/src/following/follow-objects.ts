import type { Peers, Running } from '@berth/host'
import type { Database } from '@berth/service'
import type { AskOwner } from '../grants/target.ts'
import { findObject, writeObject } from '../objects/object.ts'
import { noteObject } from './on-event.ts'
import { type Owner, takeFirstSnapshot, takeSnapshot } from './take-snapshot.ts'

type Owners = Peers<'catalog' | 'sync'>

const compareEveryMs = 3_600_000
const compareAgainMs = 5_000

/**
 * Keeps a copy of the objects of catalog and sync, as far as rights are decided by: all of them at the start and once an hour, and
 * each change as it is announced.
 */
export function followObjects(db: Database, peers: Owners, { loop, follow }: Running): void {
  const owners: Record<keyof Owners, Owner> = {
    catalog: {
      kinds: ['repository', 'distribution'],
      rows: (signal) => peers.catalog.rows('list-access-objects', {}, { signal }),
    },
    sync: { kinds: ['remote'], rows: (signal) => peers.sync.rows('list-access-objects', {}, { signal }) },
  }
  for (const source of ['catalog', 'sync'] as const) {
    const owner = owners[source]
    let take = takeFirstSnapshot
    const comparing = loop(`comparing with ${source}`, {
      everyMs: compareEveryMs,
      pauseAfterFailureMs: compareAgainMs,
      failure: `${source} does not answer; rights are decided by what is known of its objects`,
      run: async (signal) => {
        await take(db, owner, signal)
        take = takeSnapshot
      },
    })
    follow({
      consumer: `auth-${source}`,
      source,
      handle: noteObject,
      // Too much was missed to go through it one by one.
      takeSnapshot: async () => comparing.wake(),
    })
  }
}

/** Asks the owner of an object that was made a moment ago, and notes what it says. */
export function askOwnerOf(db: Database, peers: Owners): AskOwner {
  return async (kind, name) => {
    const rows =
      kind === 'remote'
        ? peers.sync.rows('list-access-objects', { name })
        : peers.catalog.rows('list-access-objects', { kind, name })
    for await (const row of rows) {
      await writeObject(db, row)
      return findObject(db, kind, row.id)
    }
    return undefined
  }
}

/** Whether everybody may pull under a base path, as catalog says now. */
export function askIsPublic({ catalog }: Owners): (basePath: string) => Promise<boolean> {
  return async (name) => {
    for await (const row of catalog.rows('list-access-objects', { kind: 'distribution', name })) return row.isPublic
    return false
  }
}
