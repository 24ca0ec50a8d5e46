import path from 'node:path'
import { lintContainerfile } from '../containerfile/lint.ts'
import type { Base } from '../engines/engine.ts'
import { findForeignArchitectures } from '../sandbox/foreign-programs.ts'
import { type Naming, readReference } from './references.ts'
import { resolveBase } from './resolve-base.ts'
import { type TakeDeps, takeBase } from './take-base.ts'

export type WantedBases = {
  containerfile: string
  buildArgs: ReadonlyMap<string, string>
  target: string | null
  platforms: readonly string[]
  network: 'none' | 'egress'
  naming: Naming
  folder: string
}
export type TakenBases = { layouts: Map<string, Base>; named: { reference: string; digest: string }[] }

/** Takes all images that a Containerfile names out of the store, with those that what they put off (ONBUILD) names. */
export async function takeBases(deps: TakeDeps, wanted: WantedBases, signal: AbortSignal): Promise<TakenBases> {
  const layouts = new Map<string, Base>()
  const taken: TakenBases['named'] = []
  const triggers = new Map<string, readonly string[]>()
  const foreign = await findForeignArchitectures()
  for (;;) {
    const named = lintContainerfile(wanted.containerfile, { ...wanted, triggers, foreign }).images
    const images = named.filter(({ reference }) => !layouts.has(reference))
    if (images.length === 0) return { layouts, named: taken }
    for (const image of images) {
      const reference = readReference(image, wanted.naming)
      const found = await resolveBase(deps, reference, signal)
      const layout = path.join(wanted.folder, String(layouts.size))
      const { configs, ...base } = await takeBase(deps, { found, image, layout }, signal)
      layouts.set(image.reference, base)
      taken.push({ reference: image.reference, digest: base.digest })
      triggers.set(image.reference, configs.flatMap(onBuildOf))
    }
  }
}

/** What an image puts off until it is built on, by its configuration. */
function onBuildOf(config: Buffer): string[] {
  const { config: inner } = JSON.parse(config.toString('utf8')) as { config?: { OnBuild?: string[] | null } | null }
  return inner?.OnBuild ?? []
}
