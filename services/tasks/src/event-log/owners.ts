import type { CloudEvent } from '@berth/bus'
import type { AccessObjectRow, CommandClient, ListAccessObjects } from '@berth/commands'
import { LRUCache } from 'lru-cache'
import { aboutOf, type Named } from './about.ts'

type Peer = CommandClient<{ 'list-access-objects': ListAccessObjects }>
/** The services that own what events are about. */
export type OwnersOf = { catalog: Peer; sync: Peer }
type Asked = Named & { kind: AccessObjectRow['kind']; id: string }

/** Who owns an object never changes, so what was learnt once is good for ever. */
export type Owners = {
  /** Learns who owns all that an event is about. Throws what the service that is asked does. */
  learn(event: CloudEvent): Promise<void>
  /** The owner, as far as it is known; null: nobody, or its object was gone before it was asked for. */
  of(object: Named | undefined): string | null
}

const remembered = 100_000
const timeoutMs = 5_000

export function createOwners({ catalog, sync }: OwnersOf): Owners {
  const known = new LRUCache<string, { ownerId: string | null }>({ max: remembered })
  const ask = async ({ kind, id }: Asked) => {
    const peer = kind === 'remote' ? sync : catalog
    let ownerId: string | null = null
    for await (const row of peer.rows('list-access-objects', { kind, name: id }, { timeoutMs })) ownerId = row.ownerId
    known.set(id, { ownerId })
  }
  return {
    learn: async (event) => {
      const { object, remote } = aboutOf(event)
      for (const one of [object, remote]) {
        if (!isOwned(one)) continue
        if (one.ownerId !== undefined) known.set(one.id, { ownerId: one.ownerId })
        else if (!known.has(one.id)) await ask(one)
      }
    },
    of: (object) => object?.ownerId ?? known.get(object?.id ?? '')?.ownerId ?? null,
  }
}

function isOwned(object: Named | undefined): object is Asked {
  return (
    object !== undefined &&
    object.id !== null &&
    (object.kind === 'repository' || object.kind === 'distribution' || object.kind === 'remote')
  )
}
