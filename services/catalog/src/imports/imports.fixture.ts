import { type KeyObject, randomUUID } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { adminRights, type Rights } from '@berth/access'
import type { ClaimedTask } from '@berth/commands'
import { createLogger } from '@berth/service'
import type { Outcome } from '@berth/worker'
import { type Packed, pack, tarOf } from '../archives/archive.fixture.ts'
import { createServedGate } from '../served/wait-until-served.ts'
import { startYard, type Yard } from '../testing/collect.fixture.ts'
import { beginTask, type ImportJob, insertImport, readImport } from './import-row.ts'
import { createImportWork, type ImportPayload } from './import-work.ts'
import { openImport } from './open-archive.ts'
import { type Plan, planImport } from './plan.ts'
import type { ImportWishes } from './targets.ts'

const ana = { id: '6c4b1a52-0d0e-4b58-8a52-0e0f4d3c2b1a', name: 'ana' }

/** A catalog with a store and a directory for transfers, and what imports of a test need. */
export type Harbour = Yard & { transferDirectory: string }

export async function startHarbour(...prepare: Parameters<typeof startYard>): Promise<Harbour> {
  const yard = await startYard(...prepare)
  const transferDirectory = await mkdtemp(path.join(tmpdir(), 'berth-transfer-'))
  const stop = async () => {
    await yard.stop()
    await rm(transferDirectory, { recursive: true, force: true })
  }
  return { ...yard, transferDirectory, stop }
}

type Options = {
  wishes?: ImportWishes
  trustedKeys?: readonly KeyObject[]
  requireSignature?: boolean
  rights?: Rights
  signal?: AbortSignal
  kind?: ImportPayload['kind']
  /** Goes on with the task of an attempt that was lost. */
  task?: ClaimedTask
  /** Comes between what is asked before anything is done and the first commit. Answers the rights of then, where they are others. */
  meanwhile?: () => Promise<Rights | undefined>
}

const log = createLogger({ service: 'catalog', silent: true })

function depsOf({ db, blobs, transferDirectory }: Harbour, options: Options) {
  const { trustedKeys = [], requireSignature = false, rights = adminRights(ana.id) } = options
  let asked = 0
  const principalOf = async () => {
    const changed = ++asked === 2 ? await options.meanwhile?.() : undefined
    return { principal: { ...ana, admin: true, rights: changed ?? rights } }
  }
  return {
    db,
    blobs,
    transferDirectory,
    signing: { trustedKeys, requireSignature },
    // The far sides: registry, which serves, and auth, which knows who it is.
    gate: createServedGate({ call: async () => ({}) } as never),
    auth: { call: principalOf } as never,
    log,
  }
}

/** Writes an archive into the directory for transfers, and makes an import of it. */
export async function makeImport(
  harbour: Harbour,
  archive: Buffer | readonly Packed[],
  key?: KeyObject,
): Promise<ImportJob> {
  const bytes = Buffer.isBuffer(archive) ? archive : tarOf(pack(archive, key ? { key } : {}))
  const name = `${randomUUID()}.tar`
  await writeFile(path.join(harbour.transferDirectory, name), bytes)
  return insertImport(harbour.db, { source: 'directory', path: name, actor: ana })
}

export async function plan(harbour: Harbour, job: ImportJob, options: Options = {}): Promise<Plan> {
  const deps = depsOf(harbour, options)
  const opened = await openImport(deps, job)
  try {
    const { rights = adminRights(ana.id), wishes = {} } = options
    return await planImport(deps, opened.contents, { rights, wishes })
  } finally {
    await opened.close()
  }
}

export function taskOf(job: ImportJob, { kind = 'apply', wishes = {} }: Options = {}): ClaimedTask {
  const payload: ImportPayload = { importId: job.id, kind, wishes }
  return { id: randomUUID(), kind: 'import', payload, fence: 1, attempt: 1, actor: ana, retry: null }
}

/** Does the task of an import as the worker does it. */
export async function apply(harbour: Harbour, job: ImportJob, options: Options = {}): Promise<Outcome> {
  const task = options.task ?? taskOf(job, options)
  await beginTask(harbour.db, job.id, task.id)
  const { signal = new AbortController().signal } = options
  return createImportWork(depsOf(harbour, options))(task, { signal, report: () => {}, note: () => {} })
}

export async function jobOf({ db }: Harbour, id: string): Promise<ImportJob> {
  const job = await readImport(db, id)
  if (!job) throw new Error(`no import ${id}`)
  return job
}
