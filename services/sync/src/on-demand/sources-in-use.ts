import { type Loop, startLoop } from '@berth/bus'
import type { CatalogCommands, CommandClient } from '@berth/commands'
import type { Digest } from '@berth/oci'
import { type Database, type Logger, Problem } from '@berth/service'

const pageRows = 1_000
const pruneEveryMs = 21_600_000
const keptDays = 7

type Deps = { db: Database; catalog: CommandClient<CatalogCommands> }

/**
 * Refuses to lose a remote that a pull-through distribution fetches its content from, or that alone can give layers that are not
 * here. Throws 409 `remote_in_use` with the distributions, or `remote_needed` with some of the layers.
 */
export async function refuseWhileNeeded({ db, catalog }: Deps, remote: { id: string; name: string }): Promise<void> {
  const { distributions } = await catalog.call('list-pulled-through', { remoteId: remote.id })
  if (distributions.length > 0)
    throw new Problem(409, 'remote_in_use', `"${remote.name}" is pulled through by ${distributions.join(', ')}.`, {
      hint: 'Delete these distributions or give them another remote; or delete it with ?force=true, and they serve only what is here.',
      more: { distributions },
    })
  for await (const digests of pages(
    db,
    `remote_id = $2 and not exists (select from content_source as other where other.digest = source.digest and other.remote_id <> $2)`,
    remote.id,
  )) {
    const { blobs } = await catalog.call('list-blob-states', { digests })
    const away = blobs.filter((blob) => blob.state === 'remote').map((blob) => blob.digest)
    if (away.length === 0) continue
    throw new Problem(
      409,
      'remote_needed',
      `Only "${remote.name}" can give layers that are not here, among them ${away.slice(0, 3).join(', ')}.`,
      {
        hint: 'Set its policy to immediate and sync, so that they come; or delete it with ?force=true, and pulls of them will fail.',
        more: { digests: away.slice(0, 100) },
      },
    )
  }
}

/** Forgets now and then where blobs were seen that catalog does not know any more. */
export function startPruning({ db, catalog, log }: Deps & { log: Logger }): Loop {
  return startLoop({
    pollMs: pruneEveryMs,
    pauseAfterFailureMs: 600_000,
    onError: (error) => log.warn('where blobs were seen will be forgotten later', { error }),
    run: async (signal) => {
      for await (const digests of pages(db, 'seen_at < now() - make_interval(days => $2)', keptDays)) {
        signal.throwIfAborted()
        const { blobs } = await catalog.call('list-blob-states', { digests }, { signal })
        const known = new Set(blobs.map((blob) => blob.digest))
        const gone = digests.filter((digest) => !known.has(digest))
        await db.query(
          `delete from content_source where digest = any($1::text[]) and seen_at < now() - make_interval(days => $2)`,
          [gone, keptDays],
        )
      }
    },
  })
}

async function* pages(db: Database, condition: string, value: unknown): AsyncIterable<Digest[]> {
  for (let after = ''; ; ) {
    const rows = await db.query<{ digest: Digest }>(
      `select distinct digest
       from content_source as source
       where digest > $1
         and ${condition}
       order by digest
       limit ${pageRows}`,
      [after, value],
    )
    const last = rows.at(-1)
    if (!last) return
    yield rows.map((row) => row.digest)
    after = last.digest
  }
}
