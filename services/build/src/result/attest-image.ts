import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { type Digest, hexOf } from '@berth/oci'
import type { Note } from '@berth/worker'
import type { Build } from '../builds/build-row.ts'
import type { BuildLimits, Built, Engine } from '../engines/engine.ts'
import type { BuildInput } from '../inputs/inputs.ts'
import type { MakeSbom } from '../sbom/make-sbom.ts'
import { type Attached, provenanceOf, referrerOf, sbomOf } from './attest.ts'
import type { BuiltContent, BuiltManifest } from './read-layout.ts'

export type NamedBase = { reference: string; digest: string }

/** What an engine has made of what. */
export type MadeImage = {
  built: Built
  input: BuildInput
  named: readonly NamedBase[]
  /** The layouts of its bases. */
  layouts: readonly string[]
  startedAt: Date
  output: string
  cached: boolean
  engine: Engine
}
type Deps = { externalUrl: string | undefined; limits: BuildLimits; makeSbom: () => MakeSbom | undefined }
type Attesting = { build: Build; made: MadeImage; content: BuiltContent; note: Note; attempt: number }

/** Makes what refers to an image: the provenance of all of it, and of each image in it a bill of materials where that can be had. */
export async function attestImage(
  deps: Deps,
  { build, made, content, note, attempt }: Attesting,
  signal: AbortSignal,
): Promise<BuiltContent> {
  const top = content.manifests.find(({ digest }) => digest === made.built.digest)
  if (!top) throw new Error(`the result of build ${build.id} lacks its own manifest`)
  const attached: [BuiltManifest, Attached][] = [[top, provenance(deps, build, made)]]
  const makeSbom = deps.makeSbom()
  if (!makeSbom) note('there is no bill of materials: syft is not installed')
  for (const [at, image] of content.manifests.filter(({ isIndex }) => !isIndex).entries()) {
    if (!makeSbom) break
    const manifest = { digest: image.digest, mediaType: image.mediaType, size: image.bytes.length }
    const described = { id: `${build.id}-${attempt}-sbom-${at}`, manifest, layouts: [made.output, ...made.layouts] }
    try {
      attached.push([image, sbomOf(await makeSbom(described, deps.limits, signal))])
    } catch (error) {
      signal.throwIfAborted()
      // The image is none the worse for it.
      note('there is no bill of materials', { level: 'warn', detail: error instanceof Error ? error.message : '' })
    }
  }
  return writeReferrers(attached, made.output)
}

function provenance(
  { externalUrl }: Deps,
  build: Build,
  { built, input, named, startedAt, engine }: MadeImage,
): Attached {
  return provenanceOf({
    buildId: build.id,
    builder: `${externalUrl ?? 'https://berth.dev'}/build/v1`,
    engine: { name: engine.name, version: engine.version },
    repository: build.repository,
    subject: built.digest,
    containerfile: input.containerfile,
    context: input.context?.digest ?? null,
    bases: [...named],
    request: {
      target: build.target,
      platforms: build.platforms,
      buildArgs: [...input.buildArgs.keys()],
      labels: [...input.labels.keys()],
      secrets: [...input.secrets.keys()],
      network: build.network,
      noCache: build.noCache,
    },
    startedAt,
    finishedAt: new Date(),
  })
}

/** As content that can be stored: their documents as files beside the image. */
async function writeReferrers(attached: readonly [BuiltManifest, Attached][], folder: string): Promise<BuiltContent> {
  const manifests: BuiltManifest[] = []
  const files: BuiltContent['blobs'] = new Map<Digest, { file: string; sizeBytes: number }>()
  for (const [{ digest, mediaType, bytes: subject }, document] of attached) {
    const { manifest, blobs } = referrerOf({ digest, mediaType, sizeBytes: subject.length }, document)
    manifests.push(manifest)
    for (const [blob, bytes] of blobs) {
      const file = path.join(folder, `attached-${hexOf(blob)}`)
      await writeFile(file, bytes)
      files.set(blob, { file, sizeBytes: bytes.length })
    }
  }
  return { manifests, blobs: files }
}
