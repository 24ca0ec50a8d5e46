import { randomUUID } from 'node:crypto'
import { type BlobStore, refuseBelowReserve } from '@berth/blobs'
import type { CatalogCommands, CommandClient, StoredBlob, Task, TasksCommands } from '@berth/commands'
import {
  type Actor,
  type ApiRequest,
  actorOf,
  type Database,
  type Logger,
  originOf,
  type Principal,
  type Sealer,
} from '@berth/service'
import type { Aliases } from '../bases/aliases.ts'
import { hostsOf, readReference } from '../bases/references.ts'
import { requireResolvable } from '../bases/resolve-base.ts'
import { lintContainerfile } from '../containerfile/lint.ts'
import { requireBuilder, requireTarget, type Target } from '../form/check-form.ts'
import type { BuildForm } from '../form/fields.ts'
import { readForm } from '../form/read-form.ts'
import { keepInput } from '../inputs/inputs.ts'
import { keepContext, letGo } from '../inputs/keep-context.ts'
import { findForeignArchitectures } from '../sandbox/foreign-programs.ts'

export type StartDeps = {
  db: Database
  catalog: CommandClient<CatalogCommands>
  log: Logger
  tasks: CommandClient<TasksCommands>
  blobs: BlobStore
  sealer: Sealer
  contextLimits: { bytes: number; unpackedBytes: number; files: number }
  externalUrl: string | undefined
  aliases: Aliases
  /** Throws where no build can run now. */
  requireEngine: () => void
}

/** `POST /builds`: reads the form, keeps what it brings and queues the task. */
export async function startBuild(deps: StartDeps, request: ApiRequest): Promise<Task> {
  const { catalog, blobs } = deps
  const { principal, response, requestId } = request
  const incoming = response.req
  requireBuilder(principal)
  await refuseBelowReserve(blobs)
  if (incoming.headers.expect !== undefined) response.writeContinue()
  const buildId = randomUUID()
  const { host } = new URL(originOf(incoming, deps.externalUrl))
  let isHeld = false
  try {
    const { form, checked, kept } = await readForm(incoming, request.signal, {
      check: async (form) => {
        const target = await requireTarget(catalog, principal, form)
        await requireBases(deps, { form, host, principal }, request.signal)
        deps.requireEngine()
        return target
      },
      keep: (context, _target, signal) => {
        isHeld = true
        return keepContext(deps, { buildId, limits: deps.contextLimits }, context, signal)
      },
    })
    return await queue(
      deps,
      { buildId, form, target: checked, context: kept, host, actor: actorOf(principal) },
      requestId,
    )
  } catch (error) {
    if (isHeld) await letGo(deps, buildId)
    // The rest of what the client sends is not waited for.
    if (!incoming.complete) response.set('connection', 'close')
    throw error
  }
}

/** Refuses what the Containerfile alone shows to come to nothing, with the line: faults in it, and images that are not here. */
async function requireBases(
  { catalog, aliases, externalUrl }: StartDeps,
  { form, host, principal }: { form: BuildForm; host: string; principal: Principal },
  signal: AbortSignal,
): Promise<void> {
  const naming = { hosts: hostsOf(externalUrl, host), aliases }
  const foreign = await findForeignArchitectures()
  for (const image of lintContainerfile(form.containerfile, { ...form, foreign }).images)
    await requireResolvable(
      { catalog, actor: actorOf(principal), rights: principal.rights },
      readReference(image, naming),
      signal,
    )
}

type Wanted = {
  buildId: string
  form: BuildForm
  target: Target
  context: StoredBlob | null
  host: string
  actor: Actor
}

/** Notes a build and queues its task. The row first: a worker that gets the task at once finds it. */
async function queue(
  { db, sealer, tasks }: StartDeps,
  { buildId, form, target, context, host, actor }: Wanted,
  requestId: string,
): Promise<Task> {
  const taskId = randomUUID()
  await db.transaction(async (sql) => {
    await sql.query(
      `insert into build (id, task_id, repository, repository_id, owner_id, tag, tags, platforms, target, network, no_cache,
         created_by, created_by_id)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
      [
        buildId,
        taskId,
        target.name,
        target.id,
        target.ownerId,
        form.tags[0],
        form.tags,
        form.platforms,
        form.target,
        form.network,
        form.noCache,
        actor.name,
        actor.id,
      ],
    )
    await keepInput(sql, sealer, { buildId, form, host, context })
  })
  const { task } = await tasks.call(
    'create-task',
    {
      id: taskId,
      kind: 'build',
      payload: { buildId },
      // One at a time: they share the cache of the repository.
      exclusive: [`repository-name:${target.name}:build`],
      shared: [],
      actor,
      on: [{ kind: 'repository', id: target.id, name: target.name, ownerId: target.ownerId }],
    },
    { requestId },
  )
  return task
}
