import { randomUUID } from 'node:crypto'
import path from 'node:path'
import { findAccount } from '../sandbox/account.ts'
import { findCgroupPlaces } from '../sandbox/cgroups.ts'
import { findLack, tryHost } from '../sandbox/check-machine.ts'
import type { SandboxHost } from '../sandbox/run-sandbox.ts'
import { sweepSandboxes } from '../sandbox/sweep.ts'
import { findBuildah } from './buildah.ts'
import { findBuildkit } from './buildkit.ts'
import type { Engine } from './engine.ts'

export type EngineSettings = {
  /** A folder for what builds need while they run. */
  folder: string
  /** Whom builds run as; needed where the service is root. */
  user?: string | undefined
  /** For tests: whether builds with egress reach private addresses. */
  allowPrivateEgress?: boolean
}

/** The engine of this machine; or what is missing, and the commands that mend it. */
export async function findEngine(
  settings: EngineSettings,
): Promise<{ engine: Engine; host: SandboxHost } | { missing: string }> {
  const found = await findEngines(settings)
  if ('missing' in found) return found
  const [engine] = found.engines
  if (!engine) return { missing: 'no engine is installed: apt-get install buildah uidmap' }
  const obstacle = await tryHost(found.host, `probe-${randomUUID()}`)
  return obstacle === undefined ? { engine, host: found.host } : { missing: obstacle }
}

/** All engines of this machine, the one that is taken first. */
export async function findEngines({
  folder,
  user,
  allowPrivateEgress = false,
}: EngineSettings): Promise<{ engines: Engine[]; host: SandboxHost } | { missing: string }> {
  const lack = await findLack()
  if (lack !== undefined) return { missing: lack }
  const found = await findAccount(user)
  if ('missing' in found) return found
  const host = {
    account: found.account,
    cgroups: await findCgroupPlaces(),
    folder: sandboxesIn(folder),
    allowPrivateEgress,
  }
  const engines = [await findBuildkit(host), await findBuildah(host)]
  return { engines: engines.filter((engine) => engine !== undefined), host }
}

/** Removes what builds of a killed service left behind; called before the first build. */
export function sweepLeftovers(folder: string): Promise<void> {
  return sweepSandboxes(sandboxesIn(folder))
}

function sandboxesIn(folder: string): string {
  return path.join(folder, 'sandboxes')
}
