import type { AuthCommands, CommandClient, KeptTrigger, PullTrigger, SyncCommands } from '@berth/commands'
import { badField, type Database } from '@berth/service'
import type { PullThrough } from './show.ts'

/** What a client sends about a pull-through distribution. */
export type PullThroughBody = {
  remote?: string
  ttlSeconds?: number
  maxBytes?: number | null
  trigger?: PullTrigger
  mirrorOfRoot?: boolean
}

const defaults = { ttlSeconds: 60, maxBytes: null, trigger: 'users' as const, mirrorOfRoot: false }

/**
 * Completes what was sent, with the remote that it names. Throws a 400 when there is none, or when it is of another host than
 * the distribution has content of.
 */
export async function readPullThrough(
  { sync, auth }: { sync: CommandClient<SyncCommands>; auth: CommandClient<AuthCommands> },
  { remote, trigger, ...given }: PullThroughBody,
  current?: PullThrough,
): Promise<PullThrough> {
  const kept = trigger === undefined ? {} : { trigger: await keptTrigger(auth, trigger) }
  const rest = { ...(current ?? defaults), ...given, ...kept }
  if (remote === undefined) {
    if (current) return { ...current, ...given, ...kept }
    throw badField('pullThrough.remote', 'is missing', 'Name the remote whose host content comes from.')
  }
  const { remote: found } = await sync.call('find-remote', { remote })
  if (!found) throw badField('pullThrough.remote', `there is no remote "${remote}"`, 'POST /api/v1/remotes makes one.')
  // What came from one registry would be served as what the other one has.
  if (current && current.host !== found.host)
    throw badField(
      'pullThrough.remote',
      `${found.name} is for ${found.host}, and this distribution for ${current.host}`,
      'Make another distribution for it.',
    )
  return { ...rest, remoteId: found.id, remote: found.name, host: found.host }
}

/** A name is that of the account that has it now: one that is made later under the same name was not meant. */
async function keptTrigger(auth: CommandClient<AuthCommands>, trigger: PullTrigger): Promise<KeptTrigger> {
  if (!Array.isArray(trigger) || trigger.length === 0) return trigger as KeptTrigger
  const { accounts } = await auth.call('find-accounts', { names: trigger })
  const ids = new Map(accounts.map(({ id, name }) => [name, id]))
  return trigger.map((name) => ({ id: ids.get(name) ?? null, name }))
}

/**
 * Refuses a mirror of the root that is not open to everybody: clients ask it by plain names, and could not be told how else to ask.
 * Throws 400 that names the field.
 */
export function refuseClosedMirror(access: string, { mirrorOfRoot, trigger }: PullThrough): void {
  if (!mirrorOfRoot) return
  if (access !== 'public')
    throw badField('access', 'is private, and pullThrough.mirrorOfRoot is for everybody', 'Set access to public.')
  if (trigger !== 'anonymous')
    throw badField(
      'pullThrough.trigger',
      'does not let everybody have content fetched, and pullThrough.mirrorOfRoot is for everybody',
      'Set the trigger to anonymous.',
    )
}

const mostShown = 5

/**
 * Refuses a private distribution whose trigger names users that may not pull from it: nothing would ever be fetched for them, and
 * clients would not hear why. Throws 400 that names both fields.
 */
export async function refuseNeverPulled(
  auth: CommandClient<AuthCommands>,
  { basePath, access, trigger }: { basePath: string; access: string; trigger: KeptTrigger },
): Promise<void> {
  if (access !== 'private' || !Array.isArray(trigger) || trigger.length === 0) return
  const { ids } = await auth.call('list-denied-pulls', {
    ids: trigger.flatMap(({ id }) => (id === null ? [] : [id])),
    basePath,
  })
  const denied = new Set(ids)
  const names = trigger.filter(({ id }) => id === null || denied.has(id)).map(({ name }) => name)
  if (names.length === 0) return
  const shown = `${names.slice(0, mostShown).join(', ')}${names.length > mostShown ? ' and others' : ''}`
  throw badField(
    'pullThrough.trigger',
    `${shown} may not pull here, for "access" is private`,
    'Name users who may pull, or set access to public.',
  )
}

const mostNamed = 10

/** The names of the distributions that bring what they serve from a remote, ten at most. */
export async function pulledThrough(db: Database, remoteId: string): Promise<string[]> {
  const rows = await db.query<{ name: string }>(
    `select name
     from distribution
     where pull_through ->> 'remoteId' = $1
     order by name
     limit ${mostNamed}`,
    [remoteId],
  )
  return rows.map(({ name }) => name)
}
