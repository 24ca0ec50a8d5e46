import type { Kind } from '@berth/access'
import type { CloudEvent } from '@berth/bus'

/** An object that an event is about. Its owner is `undefined` where the event does not say it. */
export type Named = { kind: Kind; id: string | null; name: string; ownerId?: string | null | undefined }
/** What decides who may see an event. Of one without any of these only administrators hear. */
export type About = {
  object?: Named
  /** Where the content came from, which is shown to those that may use it. */
  remote?: Named
  /** Who started what it tells of, and so sees it. */
  accountId?: string
  /** Whoever may read all that this task works on sees it. */
  taskId?: string
}
type Data = Record<string, unknown>

const typePattern = /^dev\.berth\.(.+)\.v\d+$/

/** `catalog.version.created` of a type `dev.berth.catalog.version.created.v1`: how filters name events. */
export function tailOf({ type }: Pick<CloudEvent, 'type'>): string {
  return typePattern.exec(type)?.[1] ?? type
}

/** What an event is about, by what its data say. */
export function aboutOf(event: CloudEvent): About {
  const data = event.data as Data
  const [source, entity] = tailOf(event).split('.')
  const starter = event.actorid === undefined ? {} : { accountId: event.actorid }
  const named = (kind: Kind, id: string, name: string): Named | undefined => nameOf(data, kind, { id, name })
  if (source === 'catalog' || source === 'registry') {
    if (entity === 'distribution' || entity === 'upload') return about(named('distribution', 'id', 'basePath'))
    if (entity === 'namespace') return about(named('namespace', '', 'name'))
    return about(named('repository', 'repositoryId', 'name'))
  }
  if (source === 'sync' && entity === 'remote') return about(named('remote', 'id', 'name'))
  if (source === 'sync') {
    const remote = named('remote', 'remoteId', 'remote')
    return { ...about(named('repository', 'repositoryId', 'repository')), ...(remote && { remote }), ...starter }
  }
  if (source === 'build') return { ...about(named('repository', 'repositoryId', 'repository')), ...starter }
  if (source === 'tasks' && entity === 'schedule') return about(named('schedule', 'scheduleId', 'schedule'))
  if (source === 'tasks' && entity === 'webhook') return about(named('webhook', 'webhookId', 'webhook'))
  if (source === 'tasks' && typeof data.taskId === 'string') return { taskId: data.taskId, ...starter }
  return {}
}

function about(object: Named | undefined): About {
  return object ? { object } : {}
}

function nameOf(data: Data, kind: Kind, at: { id: string; name: string }): Named | undefined {
  const name = data[at.name]
  if (typeof name !== 'string') return undefined
  const id = data[at.id]
  const ownerId = data.ownerId as string | null | undefined
  return { kind, id: typeof id === 'string' ? id : null, name, ownerId }
}
