import { mkdir, rm } from 'node:fs/promises'
import path from 'node:path'
import type { BlobStore } from '@berth/blobs'
import type {
  AuthCommands,
  CatalogCommands,
  ClaimedTask,
  CommandClient,
  SyncCommands,
  TaskProgress,
} from '@berth/commands'
import { asDigest, type Digest, hexOf } from '@berth/oci'
import { type Database, type Logger, Problem, type Sealer } from '@berth/service'
import type { Note, Work } from '@berth/worker'
import type { Aliases } from '../bases/aliases.ts'
import { hostsOf } from '../bases/references.ts'
import { takeBases } from '../bases/take-bases.ts'
import { actorOfBuild, type Build } from '../builds/build-row.ts'
import { recordStaged } from '../builds/record-build.ts'
import { boundCaches } from '../cache/layer-cache.ts'
import type { BuildLimits, BuildPlan, Built, Engine } from '../engines/engine.ts'
import { type BuildInput, readInput } from '../inputs/inputs.ts'
import { openLog } from '../log/write-log.ts'
import type { BuildMetrics } from '../observe/builds.ts'
import { digestOf } from '../result/attest.ts'
import { attestImage, type MadeImage, type NamedBase } from '../result/attest-image.ts'
import { commitImage, placeBuild, stageImage } from '../result/commit.ts'
import { readResult } from '../result/read-layout.ts'
import { storeBlobs, storeManifests } from '../result/store-result.ts'
import type { MakeSbom } from '../sbom/make-sbom.ts'
import { requireBuildRights } from './build-rights.ts'

export type RunDeps = {
  db: Database
  auth: CommandClient<AuthCommands>
  catalog: CommandClient<CatalogCommands>
  sync: CommandClient<SyncCommands>
  blobs: BlobStore
  sealer: Sealer
  log: Logger
  aliases: Aliases
  limits: BuildLimits
  /** Where builds and caches lie while they are needed. */
  directory: string
  externalUrl: string | undefined
  metrics: BuildMetrics
  /** Makes a bill of materials, where this machine can. */
  makeSbom: () => MakeSbom | undefined
  /** The layer caches, a folder for each repository in one. */
  caches: { root: string; bytes: number; repositoryBytes: number }
}
export type Run = {
  build: Build
  task: ClaimedTask
  signal: AbortSignal
  report: Parameters<Work>[1]['report']
  note: Note
}
type Made = { version: number; cached: boolean }

/** One build, from its inputs to the version that has the image. Everything before the commit is invisible and can be repeated. */
export async function runBuild(deps: RunDeps, engine: Engine, run: Run): Promise<Made> {
  const { build, task, signal } = run
  const { rights } = await requireBuildRights(deps, build, signal)
  // The worker before this one came as far as the commit.
  if (build.digest !== null && build.repositoryId !== null)
    return commit(deps, run, { repositoryId: build.repositoryId, cached: build.result?.cached ?? false })
  const input = await readInput(deps.db, deps.sealer, build.id)
  if (!input) throw new Error(`build ${build.id} has nothing to work with`)
  const folder = path.join(deps.directory, 'work', `${build.id}.${task.fence}`)
  await mkdir(folder, { recursive: true, mode: 0o755 })
  try {
    const startedAt = new Date()
    const { target, network, platforms } = build
    const actor = actorOfBuild(build)
    const { containerfile, buildArgs } = input
    const naming = { hosts: hostsOf(deps.externalUrl, input.host), aliases: deps.aliases }
    const wanted = {
      containerfile,
      buildArgs,
      target,
      platforms,
      network,
      naming,
      folder: path.join(folder, 'bases'),
    }
    run.note('the images that it is built from are taken from the store')
    const bases = await takeBases({ ...deps, actor, rights, buildId: build.id }, wanted, signal)
    for (const { reference, digest } of bases.named) run.note(`${reference} is ${digest}`)
    const output = path.join(folder, 'output')
    await mkdir(output)
    const built = await runEngine(deps, engine, { run, input, bases: bases.layouts, named: bases.named, output })
    deps.metrics.steps(built.cached, built.steps - built.cached)
    run.note(`built by ${engine.name} ${engine.version}: ${built.cached} of ${built.steps} steps came from the cache`)
    const cached = built.steps > 0 && built.cached === built.steps
    const layouts = [...bases.layouts.values()].map(({ layout }) => layout)
    const made = { built, input, named: bases.named, layouts, startedAt, output, cached, engine }
    const repositoryId = await stage(deps, run, made)
    return await commit(deps, run, { repositoryId, cached })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

type Inputs = {
  run: Run
  input: BuildInput
  bases: BuildPlan['bases']
  named: readonly NamedBase[]
  output: string
}

async function runEngine(deps: RunDeps, engine: Engine, { run, input, bases, named, output }: Inputs): Promise<Built> {
  const { build, task, signal } = run
  const { context } = input
  const writer = await openLog(deps.db, deps.log, build.id)
  const progress: TaskProgress = { phase: 'build', done: 0, total: null, unit: 'steps' }
  run.report(() => [progress])
  try {
    return await engine.build(
      {
        id: `${build.id}-${task.fence}`,
        containerfile: input.containerfile,
        context: context && (() => openContext(deps.blobs, context)),
        bases,
        buildArgs: input.buildArgs,
        labels: new Map([...input.labels, ...provenanceLabels(input, named)]),
        target: build.target,
        platforms: build.platforms,
        noCache: build.noCache,
        network: build.network,
        secrets: new Map([...input.secrets].map(([id, value]) => [id, Buffer.from(value)])),
        sourceDateEpoch: input.sourceDateEpoch,
        cache: path.join(deps.caches.root, digestName(build.repository)),
        output,
      },
      {
        limits: deps.limits,
        signal,
        onLine: (line) => writer.add(line),
        onProgress: (done, total) => {
          progress.done = done
          progress.total = total
        },
      },
    )
  } finally {
    await writer.close()
    await keepWithin(deps)
  }
}

/** Bounds the layer caches behind a build. Its result does not depend on that: where it fails the next one tries again. */
async function keepWithin({ caches: { root, ...bounds }, log }: RunDeps): Promise<void> {
  try {
    await boundCaches(root, bounds)
  } catch (error) {
    log.warn('the layer caches will be bounded later', { error })
  }
}

async function openContext(
  blobs: BlobStore,
  { digest, generation }: { digest: Digest; generation: number },
): Promise<NodeJS.ReadableStream> {
  const blob = await blobs.open({ digest, generation })
  if (!blob) throw new Problem(409, 'build_context_gone', 'The context of this build is not in the store any more.')
  const stream = blob.stream()
  stream.once('close', () => void blob.close().catch(() => 'it is closed'))
  return stream
}

/** What an image says of how it came about: of its inputs only, so that the same inputs make the same image. */
function provenanceLabels({ containerfile, context }: BuildInput, named: readonly NamedBase[]): [string, string][] {
  const bases = named.map(({ reference, digest }) => `${reference.split('@')[0]}@${digest}`)
  return [
    ['io.berth.build.containerfile', digestOf(Buffer.from(containerfile))],
    ...(context ? [['io.berth.build.context', context.digest] as [string, string]] : []),
    ...(bases.length > 0 ? [['io.berth.build.bases', bases.join(' ')] as [string, string]] : []),
  ]
}

/** Puts the image and its attestation into the store and aside, ready for the commit. */
async function stage(deps: RunDeps, run: Run, made: MadeImage): Promise<string> {
  const { build, task, signal } = run
  const content = await readResult([made.output, ...made.layouts], made.built.digest)
  const attested = await attestImage(deps, { build, made, content, note: run.note, attempt: task.fence }, signal)
  // Asked again: what is committed is decided by the rights of this moment.
  const { ownerId } = await requireBuildRights(deps, build, signal)
  const repositoryId = build.repositoryId ?? (await placeBuild(deps.catalog, build, ownerId, signal))
  const storing = { catalog: deps.catalog, blobs: deps.blobs, buildId: build.id }
  await storeBlobs(storing, new Map([...content.blobs, ...attested.blobs]), signal)
  const manifests = await storeManifests(storing, [...content.manifests, ...attested.manifests], signal)
  const digest = asDigest(made.built.digest)
  const tags = build.tags.map((name) => ({ name, digest }))
  const members = attested.manifests.map((one) => one.digest)
  await stageImage(deps.catalog, { build, fence: task.fence }, { manifests, tags, members }, signal)
  await recordStaged(deps.db, build, { repositoryId, digest, cached: made.cached })
  build.repositoryId = repositoryId
  return repositoryId
}

async function commit(
  { catalog }: RunDeps,
  { build, task, signal, note }: Run,
  { repositoryId, cached }: { repositoryId: string; cached: boolean },
): Promise<Made> {
  const { version } = await commitImage(catalog, { build, fence: task.fence, repositoryId }, signal)
  note(`version ${version} of ${build.repository} has it`)
  return { version, cached }
}

/** A folder of its own for each repository, whatever its name is. */
function digestName(repository: string): string {
  return hexOf(digestOf(Buffer.from(repository))).slice(0, 40)
}
