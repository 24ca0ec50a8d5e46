import { decide } from '@berth/access'
import type { CloudEvent } from '@berth/bus'
import type { CatalogCommands, CommandClient } from '@berth/commands'
import type { Principal } from '@berth/service'

/** Adds to an event under what name its content is pulled, as far as a caller may pull it there. */
export type AddReferences = (event: CloudEvent, caller: Principal, origin: string) => Promise<CloudEvent>

type Data = Record<string, unknown>
type Tag = { tag: string; to?: string }

const timeoutMs = 5_000
const mostPlaces = 100

/**
 * Asks catalog where a repository is served: `data.repository`, `data.tag`, `data.digest`, `data.reference`, and `reference` of each tag.
 */
export function createAddReferences(catalog: CommandClient<CatalogCommands>): AddReferences {
  const placeOf = async (repositoryId: string, name: string, { rights }: Principal) => {
    const places: string[] = []
    let seen = 0
    for await (const row of catalog.rows('list-access-objects', { servesId: repositoryId }, { timeoutMs })) {
      const object = {
        kind: 'distribution',
        id: row.id,
        name: row.name,
        ownerId: row.ownerId,
        isPublic: row.isPublic,
      } as const
      if (decide(rights, 'pull', object).allowed) places.push(row.name)
      if (++seen === mostPlaces) break
    }
    return places.includes(name) ? name : places.sort()[0]
  }
  return async (event, caller, origin) => {
    const { host } = new URL(origin)
    const data = event.data as Data
    const { repositoryId } = data
    const name = typeof data.repository === 'string' ? data.repository : data.name
    if (typeof repositoryId !== 'string' || typeof name !== 'string') return event
    const place = await placeOf(repositoryId, name, caller)
    const tags = Array.isArray(data.tags) ? (data.tags as Tag[]) : []
    const first = tags.find(({ to }) => to !== undefined)
    const refer = (tag: string) => (place === undefined ? null : `${host}/${place}:${tag}`)
    return {
      ...event,
      data: {
        ...data,
        repository: name,
        ...(tags.length > 0 && {
          tags: tags.map((one) => ({ ...one, reference: one.to === undefined ? null : refer(one.tag) })),
        }),
        ...(first
          ? { tag: first.tag, digest: first.to, reference: refer(first.tag) }
          : { reference: place === undefined ? null : `${host}/${place}` }),
      },
    }
  }
}
