import path from 'node:path'
import type { Base } from '../engines/engine.ts'
import { imagesOf, type NamedImage } from './images-of.ts'
import { type Naming, readReference } from './references.ts'
import { resolveBase } from './resolve-base.ts'
import { type TakeDeps, takeBase } from './take-base.ts'

export type WantedBases = {
  containerfile: string
  buildArgs: ReadonlyMap<string, string>
  target: string | null
  platforms: readonly string[]
  naming: Naming
  folder: string
}
export type TakenBases = { layouts: Map<string, Base>; named: { reference: string; digest: string }[] }

/** Takes all images that a Containerfile names out of the store, with those that what they put off (ONBUILD) names. */
export async function takeBases(deps: TakeDeps, wanted: WantedBases, signal: AbortSignal): Promise<TakenBases> {
  const layouts = new Map<string, Base>()
  const named: TakenBases['named'] = []
  const triggers = new Map<string, readonly string[]>()
  for (;;) {
    const images = namedImages(wanted, triggers).filter(({ reference }) => !layouts.has(reference))
    if (images.length === 0) return { layouts, named }
    for (const image of images) {
      const reference = readReference(image, wanted.naming)
      const found = await resolveBase(deps, reference, signal)
      const layout = path.join(wanted.folder, String(layouts.size))
      const { configs, ...base } = await takeBase(deps, { found, image, layout }, signal)
      layouts.set(image.reference, base)
      named.push({ reference: image.reference, digest: base.digest })
      triggers.set(image.reference, configs.flatMap(onBuildOf))
    }
  }
}

function namedImages(
  { containerfile, buildArgs, target, platforms }: WantedBases,
  _triggers: ReadonlyMap<string, readonly string[]>,
): NamedImage[] {
  return imagesOf(containerfile, { buildArgs, target, platforms })
}

/** What an image puts off until it is built on, by its configuration. */
function onBuildOf(config: Buffer): string[] {
  const { config: inner } = JSON.parse(config.toString('utf8')) as { config?: { OnBuild?: string[] | null } | null }
  return inner?.OnBuild ?? []
}
