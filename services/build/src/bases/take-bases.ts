import path from 'node:path'
import { Problem } from '@berth/service'
import type { Build } from '../builds/build-row.ts'
import type { Base } from '../engines/engine.ts'
import type { BuildInput } from '../inputs/inputs.ts'
import type { Aliases } from './aliases.ts'
import { imagesOf, imagesOfOnBuild } from './images-of.ts'
import { readReference } from './references.ts'
import { resolveBase } from './resolve-base.ts'
import { type TakeDeps, takeBase } from './take-base.ts'

export type BasesDeps = TakeDeps & { aliases: Aliases; externalUrl: string | undefined }

/** Takes all images that a Containerfile names out of the store, with those that their ONBUILD steps name. */
export async function takeBases(
  deps: BasesDeps,
  { build, input, folder }: { build: Build; input: BuildInput; folder: string },
  signal: AbortSignal,
): Promise<{ layouts: Map<string, Base>; named: { reference: string; digest: string }[] }> {
  const hosts = [input.host, ...(deps.externalUrl ? [new URL(deps.externalUrl).host] : [])].map((one) =>
    one.toLowerCase(),
  )
  const layouts = new Map<string, Base>()
  const named: { reference: string; digest: string }[] = []
  const waiting = [...imagesOf(input.containerfile, { buildArgs: input.buildArgs, target: build.target })]
  for (let text = waiting.shift(); text !== undefined; text = waiting.shift()) {
    if (layouts.has(text)) continue
    const reference = readReference(text, { hosts, aliases: deps.aliases })
    if (!reference)
      throw new Problem(400, 'base_invalid', `"${text}" is no name of an image.`, { field: 'containerfile' })
    const found = await resolveBase(deps, reference, signal)
    const layout = path.join(folder, String(layouts.size))
    const { configs, ...base } = await takeBase(deps, { found, text, layout }, signal)
    layouts.set(text, base)
    named.push({ reference: text, digest: base.digest })
    for (const config of configs) waiting.push(...imagesOfOnBuild(config))
  }
  return { layouts, named }
}
