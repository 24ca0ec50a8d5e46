import { type Digest, parseTagPattern } from '@berth/oci'
import type { Database } from '@berth/service'
import type { BroughtRepository } from '../archives/brought.ts'
import type { TagLine } from '../archives/list-lines.ts'
import { sayImmutable } from '../versions/immutable-tags.ts'
import type { Conflict } from './target-state.ts'

type Where = {
  name: string
  repositoryId: string
  /** Whether tags go that the archive does not have. */
  takesAway: boolean
  signal?: AbortSignal | undefined
}

const tagsAtOnce = 1_000
const mostNamed = 10

/**
 * Whether tags of a repository are immutable that what is brought would move or take away, as its commit would say in the end. Both sides
 * are gone through in their order, a page at a time.
 */
export async function findImmutable(
  db: Database,
  brought: BroughtRepository,
  { name, repositoryId, takesAway, signal }: Where,
): Promise<Conflict | undefined> {
  const [row] = await db.query<{ immutableTags: string[] }>(
    'select immutable_tags as "immutableTags" from repository where id = $1',
    [repositoryId],
  )
  if (!row || row.immutableTags.length === 0) return undefined
  const patterns = row.immutableTags.map(parseTagPattern)
  const names: string[] = []
  let count = 0
  let after = ''
  const compare = async (given: readonly TagLine[], upTo: string | null) => {
    for (let found = tagsAtOnce; found === tagsAtOnce; ) {
      const tags = await changedTags(db, { repositoryId, given, after, upTo, takesAway })
      for (const tag of tags.filter((one) => patterns.some((pattern) => pattern.matches(one))))
        if (++count <= mostNamed) names.push(tag)
      after = tags.at(-1) ?? after
      found = tags.length
    }
    after = upTo ?? after
  }
  let batch: TagLine[] = []
  for await (const line of brought.lines(signal)) {
    if (!('tag' in line) || batch.push(line) < tagsAtOnce) continue
    await compare(batch, line.tag)
    batch = []
  }
  await compare(batch, null)
  return count === 0 ? undefined : { code: 'tag_immutable', message: sayImmutable(name, names, count) }
}

type Range = {
  repositoryId: string
  given: readonly TagLine[]
  after: string
  upTo: string | null
  takesAway: boolean
}

/** A page of the tags of a repository, of those between two names, that are given with another digest or not at all. */
async function changedTags(db: Database, { repositoryId, given, after, upTo, takesAway }: Range): Promise<string[]> {
  const rows = await db.query<{ name: string; digest: Digest }>(
    `select tag.name
     from tag_interval as tag
     left join unnest($2::text[], $3::text[]) as given (name, digest) on given.name = tag.name
     where tag.repository_id = $1
       and tag.until is null
       and tag.name > $4
       and ($5::text is null or tag.name <= $5)
       and given.digest is distinct from tag.digest
       and ($6 or given.name is not null)
     order by tag.name
     limit ${tagsAtOnce}`,
    [repositoryId, given.map(({ tag }) => tag), given.map(({ digest }) => digest), after, upTo, takesAway],
  )
  return rows.map(({ name }) => name)
}
