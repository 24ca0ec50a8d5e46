import { chmod, mkdir, rm } from 'node:fs/promises'
import path from 'node:path'
import { findEngine, sweepLeftovers } from '../engines/find-engine.ts'
import { findSyft } from '../sbom/make-sbom.ts'
import type { EngineSearch } from './search-engine.ts'

/** Makes the folder of builds ready, removes what a killed service left in it, and looks for the engine of this machine. */
export function searchHere({
  buildDirectory: folder,
  buildUser: user,
}: {
  buildDirectory: string
  buildUser: string | undefined
}): EngineSearch {
  return async () => {
    await mkdir(folder, { recursive: true })
    await chmod(folder, 0o755)
    await sweepLeftovers(folder)
    await rm(path.join(folder, 'work'), { recursive: true, force: true })
    const found = await findEngine({ folder, user })
    if ('missing' in found) return found
    return { engine: found.engine, makeSbom: await findSyft(found.host) }
  }
}
