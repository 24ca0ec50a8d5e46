import { type Rights, toSql } from '@berth/access'
import { asDigest } from '@berth/oci'
import { type ApiReply, actorOf, type Database, type Guard, type Handlers, notFound, ownerOf } from '@berth/service'
import { type Curation, curate, planCuration } from '../curation/curate.ts'
import { copyWork, modifyWork, type Work } from '../curation/requests.ts'
import type { Prisma } from '../db/client.ts'
import { removeTags, setTags } from '../intervals/edit.ts'
import type { operations } from '../openapi-types.ts'
import { ensureServed } from '../repositories/ensure.ts'
import { findRepository } from '../repositories/find.ts'
import type { ServedGate } from '../served/wait-until-served.ts'
import { publish } from './publish.ts'

/** The API of editing repositories by hand. */
export function curationHandlers(db: Database, prisma: Prisma, gate: ServedGate, guard: Guard) {
  const carryOut = async (curation: Curation, work: Work, dryRun = false): Promise<ApiReply> => {
    const id = curation.repositoryId
    if (dryRun) return { status: 200, body: await planCuration(db, curation, work) }
    return publish({ gate, prisma }, id, await curate(db, curation, work))
  }
  return {
    modifyRepository: async ({ params, body, principal }) => {
      const { id } = await findRepository(prisma, params.repository)
      const { work, cause, foldsFirst } = modifyWork(body, principal.rights)
      const repository = { kind: 'repository', what: `modify ${params.repository}` } as const
      if (body.remove?.length) await guard(principal, 'delete', { ...repository, given: params.repository })
      for (const given of new Set(body.add?.flatMap(({ from }) => from?.repository ?? [])))
        await guard(principal, 'pull', { ...repository, given })
      const { baseVersion, dryRun } = body
      return carryOut({ repositoryId: id, actor: actorOf(principal), cause, baseVersion, foldsFirst }, work, dryRun)
    },
    copyIntoRepository: async ({ params, body, principal }) => {
      const { id, name } = await findRepository(prisma, params.repository)
      const { baseVersion, dryRun } = body
      const actor = actorOf(principal)
      const curation = { repositoryId: id, actor, cause: 'copy', baseVersion } as const
      const reply = await carryOut(curation, copyWork(body), dryRun)
      if (dryRun) return reply
      // What was copied can be pulled, as what was pushed can.
      for (const made of await db.transaction((sql) =>
        ensureServed(sql, { id, name, actor, ownerId: ownerOf(principal) }),
      )) {
        await gate.distribution(made)
      }
      return { ...reply, body: { ...(reply.body as object), basePaths: await basePathsOf(db, principal.rights, id) } }
    },
    setTag: async ({ params, body, principal }) => {
      const { id } = await findRepository(prisma, params.repository)
      const digest = asDigest(body.digest)
      return carryOut({ repositoryId: id, actor: actorOf(principal), cause: 'tag' }, async (sql, edit) => {
        const [member] = await sql.query(
          'select from manifest_interval where repository_id = $1 and digest = $2 and until is null',
          [id, digest],
        )
        if (!member) throw notFound('manifest', digest)
        await setTags(sql, edit, [{ name: params.tag, digest }])
      })
    },
    deleteTag: async ({ params, principal }) => {
      const { id } = await findRepository(prisma, params.repository)
      const name = params.tag
      await carryOut({ repositoryId: id, actor: actorOf(principal), cause: 'untag' }, async (sql, edit) => {
        const [tag] = await sql.query(
          'select from tag_interval where repository_id = $1 and name = $2 and until is null',
          [id, name],
        )
        if (!tag) throw notFound('tag', name)
        await removeTags(sql, edit, [name])
      })
      return { status: 204 }
    },
  } satisfies Partial<Handlers<operations>>
}

const mostBasePaths = 100

/** Where the latest version of a repository is served, as far as a caller may see. */
async function basePathsOf(db: Database, rights: Rights, repositoryId: string): Promise<string[]> {
  const columns = { name: 'base_path', id: 'id', owner: 'owner_id', isPublic: "access = 'public'" }
  const readable = toSql(rights, 'read', 'distribution', columns, 3)
  const rows = await db.query<{ basePath: string }>(
    `select base_path as "basePath"
     from distribution
     where repository_id = $1 and version is null and ${readable.condition}
     order by base_path
     limit $2`,
    [repositoryId, mostBasePaths, ...readable.values],
  )
  return rows.map(({ basePath }) => basePath)
}
