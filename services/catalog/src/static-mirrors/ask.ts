import { randomUUID } from 'node:crypto'
import type { CommandClient, Task, TasksCommands } from '@berth/commands'
import { actorOf, badField, type Database, type RequestOf } from '@berth/service'
import { selectByLabels, selectNamed } from '../exports/select.ts'
import type { operations } from '../openapi-types.ts'
import { readTransferPath, transferRoot } from '../transfers/transfer-path.ts'
import { type MirrorPayload, refusePrivate } from './mirror-work.ts'
import { checkTarget, type RsyncSettings, requireRsync } from './rsync.ts'

export type AskDeps = {
  db: Database
  tasks: CommandClient<TasksCommands>
  transferDirectory: string | undefined
  rsync: RsyncSettings
}

/** `POST /mirrors/static`: checks what is asked for, and queues its task. */
export async function askForMirror(deps: AskDeps, request: RequestOf<operations['writeStaticMirror']>): Promise<Task> {
  const { db, tasks } = deps
  const { body, principal, requestId, taskId = randomUUID() } = request
  const root = await transferRoot(deps.transferDirectory)
  const directory = readTransferPath(body.directory, 'directory', root)
  if (body.rsync) {
    checkTarget(body.rsync, deps.rsync)
    await requireRsync()
  }
  if ((body.repositories === undefined) === (body.selector === undefined))
    throw badField('repositories', 'stands beside "selector", or neither is there', 'Give one of the two.')
  const named = body.repositories ?? []
  const selected =
    body.selector === undefined
      ? await selectNamed(db, named, principal)
      : await selectByLabels(db, body.selector, principal.rights)
  const again = selected.find(({ facts }) => facts.length > 0)
  if (again) throw badField('repositories', `has several versions of ${again.name}`, 'A mirror has one of each.')
  const { includePrivate = false, dryRun = false } = body
  const pinned = new Set(named.flatMap(({ name, version }) => (version === undefined ? [] : [name])))
  const repositories = selected.map(({ id, name, number }) => ({
    id,
    name,
    version: pinned.has(name) || pinned.has(id) ? number : null,
  }))
  if (!includePrivate) await refusePrivate(deps, repositories)
  const payload: MirrorPayload = {
    directory,
    repositories,
    includePrivate,
    dryRun,
    rsync: body.rsync ?? null,
  }
  const { task } = await tasks.call(
    'create-task',
    {
      id: taskId,
      kind: 'mirror',
      payload,
      exclusive: [`directory:${directory}`],
      shared: [],
      actor: actorOf(principal),
    },
    { requestId },
  )
  return task
}
