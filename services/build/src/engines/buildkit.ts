import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { access, constants, mkdir, readdir, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { keepEntry, openCache } from '../cache/layer-cache.ts'
import { renameBases } from '../containerfile/rename-bases.ts'
import { closeLayout } from '../layouts/adopt-layers.ts'
import { compressLayers } from '../layouts/compress-layers.ts'
import { openUp } from '../layouts/open-up.ts'
import { type BaseContent, type Descriptor, readBase } from '../layouts/read-base.ts'
import { receiveLayouts } from '../layouts/receive-layout.ts'
import { runSandbox, type SandboxHost } from '../sandbox/run-sandbox.ts'
import { buildkitScript } from './buildkit-script.ts'
import type { BuildDeps, BuildPlan, Built, Engine } from './engine.ts'
import { egressOf, feedContext, feedFiles, secretFiles } from './inputs.ts'
import { listenToBuildkit } from './listen-to-buildkit.ts'
import { outcomeOf } from './outcome.ts'

const run = promisify(execFile)
const searchPath = (process.env.PATH ?? '').split(path.delimiter).filter(Boolean)

/** BuildKit, where its programs are on PATH or in the cache of Berth, beside a runc. */
export async function findBuildkit(host: SandboxHost): Promise<Engine | undefined> {
  const programs = await findPrograms()
  const [daemon] = programs
  if (daemon === undefined || !(await hasRuntime(programs))) return undefined
  const { stdout } = await run(daemon, ['--version'])
  const version = / v(\S+)/.exec(stdout)?.[1] ?? 'unknown'
  const build = (plan: BuildPlan, deps: BuildDeps) => buildByBuildkit(host, programs, plan, deps)
  return { name: 'buildkit', version, mostAtOnce: host.cgroups ? Number.POSITIVE_INFINITY : 1, build }
}

/** The daemon, its client, and the runtime where it lies beside them. */
async function findPrograms(): Promise<string[]> {
  for (const folder of [...searchPath, ...(await cachedFolders())]) {
    const [daemon, client, runtime] = ['buildkitd', 'buildctl', 'buildkit-runc'].map((name) => path.join(folder, name))
    if (!daemon || !client || !runtime || !(await isProgram(daemon)) || !(await isProgram(client))) continue
    return (await isProgram(runtime)) ? [daemon, client, runtime] : [daemon, client]
  }
  return []
}

async function cachedFolders(): Promise<string[]> {
  const cache =
    process.env.BERTH_CACHE || path.join(process.env.XDG_CACHE_HOME || path.join(os.homedir(), '.cache'), 'berth')
  try {
    const names = (await readdir(cache)).filter((name) => name.startsWith('buildkit-v'))
    return names
      .sort()
      .toReversed()
      .map((name) => path.join(cache, name))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

/** Inside, programs are those of /usr and those that are shown beside them. */
async function hasRuntime(programs: readonly string[]): Promise<boolean> {
  if (programs.length === 3) return true
  const places = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin']
  for (const place of places) if (await isProgram(path.join(place, 'runc'))) return true
  return false
}

async function isProgram(file: string): Promise<boolean> {
  try {
    await access(file, constants.X_OK)
    return true
  } catch {
    // Whatever is in the way, it cannot be run.
    return false
  }
}

async function buildByBuildkit(
  host: SandboxHost,
  programs: readonly string[],
  plan: BuildPlan,
  deps: BuildDeps,
): Promise<Built> {
  const { text, names } = renameBases(plan.containerfile, plan, 'clashing')
  const bases = await Promise.all([...plan.bases.values()].map(readBase))
  const secrets = secretFiles(plan)
  const egress = egressOf(plan, host, deps)
  const cache = plan.cache === null ? null : await openCache(plan.cache)
  if (cache) await openUp(cache.folder)
  const results = path.join(plan.output, `.results-${randomUUID()}`)
  const cached = plan.noCache ? [] : (cache?.entries ?? []).filter(({ index }) => !isOfBuildah(index))
  const shown = { names, bases, cache: cache && { entries: cached.length } }
  const files = new Map<string, Buffer | string>([
    ['run.sh', buildkitScript(plan, shown, secrets.places)],
    ['Containerfile', text],
    ...cached.map(({ index }, at): [string, string] => [`cached-${at}`, index]),
    ...secrets.files,
    ...egress.files,
  ])
  const listening = listenToBuildkit(plan, deps)
  let received: Received | undefined
  let packing: Promise<Descriptor> | undefined
  try {
    const end = await runSandbox(
      host,
      {
        id: plan.id,
        shows: new Map([
          ...programs.map((file) => [path.basename(file), file] as const),
          ...(cache ? [['cache', cache.folder] as const] : []),
          ...[...plan.bases.values()].map(({ layout }, at) => [`base-${at}`, layout] as const),
        ]),
        limits: deps.limits,
        prepare: egress.prepare,
        feedInputs: (into, ended) => feedFiles(files, into, ended),
        feedContext: (into, ended) => feedContext(plan.context, deps.limits, into, ended),
        takeResult: async (from) => {
          await mkdir(results)
          received = await receiveLayouts(from, { image: results, cache: results }, deps.limits.diskBytes)
          // While the sandbox is taken down; if that goes wrong, it is for nothing.
          packing = packImage(received, plan, deps, { bases, from: [results, ...(cache ? [cache.folder] : [])] })
          packing.catch(() => undefined)
        },
        onOutput: listening.onOutput,
      },
      deps.signal,
    )
    listening.end()
    const failure = outcomeOf(end, listening.heard, deps.limits)
    if (failure) throw failure
    const image = await packing
    if (!image) throw new Error('the sandbox gave no result')
    const kept = received?.get('cache')
    if (cache && kept) await keepEntry(cache, { key: cacheKey(plan), index: kept.index, blobs: results })
    const { steps, cached } = listening.counts()
    deps.onProgress(steps, steps)
    return {
      digest: image.digest,
      mediaType: image.mediaType,
      cached,
      steps,
    }
  } finally {
    await packing?.catch(() => 'it has been said')
    await rm(results, { recursive: true, force: true })
    cache?.close()
  }
}

type Received = Awaited<ReturnType<typeof receiveLayouts>>
type Sources = { bases: readonly BaseContent[]; from: readonly string[] }

/** Puts the image that came out of the sandbox into the layout of the result. */
async function packImage(
  received: Received,
  plan: BuildPlan,
  deps: BuildDeps,
  { bases, from }: Sources,
): Promise<Descriptor> {
  const made = received.get('image')?.image
  if (!made) throw new Error('the sandbox gave no image')
  const image = await compressLayers(made, {
    from,
    to: plan.output,
    known: new Set(bases.flatMap(({ blobs }) => blobs)),
    layers: new Map(bases.flatMap(({ layers }) => [...layers])),
    latest: plan.sourceDateEpoch,
    limitBytes: deps.limits.diskBytes,
    signal: deps.signal,
  })
  await closeLayout(plan.output, image)
  return image
}

/** The other engine keeps its steps by number, and calls nothing its latest. */
function isOfBuildah(index: string): boolean {
  return /"org\.opencontainers\.image\.ref\.name":"\d/.test(index)
}

/** Builds of one Containerfile for the same target and platforms replace each other's entry. */
function cacheKey({ containerfile, target, platforms }: BuildPlan): string {
  return JSON.stringify(['buildkit', containerfile, target, platforms])
}
