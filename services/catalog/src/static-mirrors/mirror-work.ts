import path from 'node:path'
import type { AuthCommands, CommandClient, TaskError } from '@berth/commands'
import { Problem } from '@berth/service'
import { outcomeOfError, type Work } from '@berth/worker'
import { careRights } from '../care-rights.ts'
import { releaseLeases } from '../leases/leases.ts'
import { folderBelow, transferRoot } from '../transfers/transfer-path.ts'
import { ensureWrittenOut } from '../versions/ensure-written-out.ts'
import type { Selected } from './contents.ts'
import { copyToHost, type RsyncSettings, type RsyncTarget } from './rsync.ts'
import { type MirrorDeps, type MirrorResult, writeMirror } from './write-mirror.ts'

export type MirrorPayload = {
  /** Below the directory for transfers. */
  directory: string
  /** Version: null for the latest when it is written. */
  repositories: { id: string; name: string; version: number | null }[]
  includePrivate: boolean
  dryRun: boolean
  rsync: RsyncTarget | null
}

type Deps = MirrorDeps & {
  auth: CommandClient<AuthCommands>
  rsync: RsyncSettings
  transferDirectory: string | undefined
}

const cancelled = 'The mirror was cancelled: what is written stays, and is whole; the next run goes on.'

/** Does the tasks of kind `mirror`: writes a static mirror, and copies it to another host where that is asked for. */
export function createMirrorWork(deps: Deps): Work {
  return async (task, { signal, report, note }) => {
    const payload = task.payload as MirrorPayload
    const { db, log } = deps
    const holder = `mirror:${task.id}`
    try {
      await careRights(deps.auth, task)(signal)
      const selected = await latestOf(deps, payload)
      if (!payload.includePrivate) await refusePrivate(deps, payload.repositories)
      const root = await placeOf(deps.transferDirectory, payload.directory)
      let seen: MirrorResult | undefined
      report(() => [
        { phase: 'write', done: (seen?.written ?? 0) + (seen?.unchanged ?? 0), total: null, unit: 'files' },
        { phase: 'write', done: seen?.writtenBytes ?? 0, total: null, unit: 'bytes' },
      ])
      const onProgress = (now: MirrorResult) => {
        seen = now
      }
      const { dryRun } = payload
      const result = await writeMirror(deps, { root, selected, holder, dryRun }, { signal, onProgress })
      note(
        `${result.written} files of ${result.writtenBytes} bytes ${dryRun ? 'would be ' : ''}written, ${result.removed} removed`,
      )
      if (payload.rsync && !dryRun) {
        report(() => [{ phase: 'copy', done: 0, total: null, unit: 'files' }])
        await copyToHost(root, payload.rsync, deps.rsync, signal)
        note(`copied to ${payload.rsync.host}`)
      }
      return { state: 'completed', result }
    } catch (error) {
      return outcomeOfError(error, { task, signal, log, cancelled, explain })
    } finally {
      await releaseLeases(db, holder).catch((error: unknown) =>
        log.warn('leases are left to run out', { holder, error }),
      )
    }
  }
}

function explain(error: unknown): TaskError | undefined {
  if (!(error instanceof Problem)) return undefined
  return { code: error.code, message: [error.message, error.options.hint].filter(Boolean).join(' ') }
}

/** The folder of a mirror; no link leads to it. */
async function placeOf(transferDirectory: string | undefined, directory: string): Promise<string> {
  const root = await transferRoot(transferDirectory)
  // What lies in it is looked at by the same rule, and then the mirror itself is.
  await folderBelow(root, `${directory}/.`, { make: false })
  await folderBelow(root, directory, { make: true })
  return path.join(root, directory)
}

/**
 * The versions that are written: those that were named, or what is served as the latest now, with what was pushed without a tag and is
 * of the next. Throws 404 for one that is gone.
 */
async function latestOf({ db }: Deps, { repositories }: MirrorPayload): Promise<Selected[]> {
  const rows = await db.query<Selected & { isThere: boolean }>(
    `select wanted.id, coalesce(repository.name, wanted.name) as name, 
       coalesce(wanted.number, latest_version + (loose_since is not null)::integer) as number,
       version.number is not null as "isThere"
     from unnest($1::uuid[], $2::text[], $3::integer[]) as wanted (id, name, number)
     left join repository on repository.id = wanted.id
     left join version on version.repository_id = wanted.id
       and version.number = coalesce(wanted.number, latest_version)
     order by name`,
    [
      repositories.map(({ id }) => id),
      repositories.map(({ name }) => name),
      repositories.map(({ version }) => version),
    ],
  )
  const gone = rows.find(({ isThere }) => !isThere)
  if (gone)
    throw new Problem(404, 'repository_not_found', `${gone.name} is not there any more, or its version is not.`, {
      hint: 'Ask for the mirror again without it.',
    })
  for (const { id } of rows) await ensureWrittenOut(db, id)
  return rows.map(({ id, name, number }) => ({ id, name, number }))
}

/** Refuses what not everybody may pull here: a static mirror knows no logins. */
export async function refusePrivate({ db }: Pick<Deps, 'db'>, selected: MirrorPayload['repositories']): Promise<void> {
  // One that serves a pinned version makes no other version public.
  const rows = await db.query<{ name: string }>(
    `select repository.name
     from unnest($1::uuid[], $2::integer[]) as wanted (id, number)
     join repository on repository.id = wanted.id
     where not exists (
       select
       from distribution
       where distribution.repository_id = repository.id
         and access = 'public'
         and case
           when distribution.version is null then coalesce(wanted.number, latest_version) = latest_version
           else wanted.number = distribution.version
         end)
     order by repository.name`,
    [selected.map(({ id }) => id), selected.map(({ version }) => version)],
  )
  if (rows.length === 0) return
  const names = rows.map(({ name }) => name)
  throw new Problem(
    409,
    'private_repositories',
    `No public distribution serves these versions: ${names.slice(0, 20).join(', ')}${names.length > 20 ? ` and ${names.length - 20} more` : ''}.`,
    {
      field: 'includePrivate',
      hint: 'Whoever reaches a static mirror may pull all of it: say includePrivate: true if that is meant.',
      more: { repositories: names.slice(0, 1_000) },
    },
  )
}
