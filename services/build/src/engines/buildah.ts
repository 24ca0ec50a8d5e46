import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdir, rm } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { Problem } from '@berth/service'
import { keepEntry, openCache } from '../cache/layer-cache.ts'
import { lintContainerfile } from '../containerfile/lint.ts'
import { renameBases } from '../containerfile/rename-bases.ts'
import { adoptLayers, closeLayout, writeIndex } from '../layouts/adopt-layers.ts'
import { openUp } from '../layouts/open-up.ts'
import { type Descriptor, readBase } from '../layouts/read-base.ts'
import { type Received, receiveLayouts } from '../layouts/receive-layout.ts'
import { runSandbox, type SandboxHost } from '../sandbox/run-sandbox.ts'
import { buildahScript, type Part } from './buildah-script.ts'
import type { BuildDeps, BuildPlan, Built, Engine } from './engine.ts'
import { egressOf, feedContext, feedFiles, secretFiles } from './inputs.ts'
import { listenToBuildah } from './listen-to-buildah.ts'
import { outcomeOf } from './outcome.ts'

const run = promisify(execFile)
/** Further back than these builds nothing is looked for: what they left is read into the store before the first step. */
const mostEntries = 2

/** buildah, where it is installed. */
export async function findBuildah(host: SandboxHost): Promise<Engine | undefined> {
  try {
    // Even to tell its version it looks for settings of its user, and fails where there is no home that can be written.
    const { stdout } = await run('buildah', ['--version'], { env: { ...process.env, XDG_CONFIG_HOME: '/etc' } })
    const version = /version (\S+)/.exec(stdout)?.[1] ?? 'unknown'
    const build = (plan: BuildPlan, deps: BuildDeps) => buildByBuildah(host, plan, deps)
    return { name: 'buildah', version, mostAtOnce: host.cgroups ? Number.POSITIVE_INFINITY : 1, build }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

async function buildByBuildah(host: SandboxHost, plan: BuildPlan, deps: BuildDeps): Promise<Built> {
  const prepared = (plan.platforms.length === 0 ? [null] : plan.platforms).map((platform) => prepare(plan, platform))
  const parts = prepared.map(({ part }) => part)
  const bases = await Promise.all([...plan.bases.values()].map(readBase))
  const cache = plan.cache === null || parts.length > 1 ? null : await openCache(plan.cache)
  if (cache) await openUp(cache.folder)
  const entries =
    plan.noCache || !cache ? [] : cache.entries.filter(({ index }) => stepsIn(index).length > 0).slice(0, mostEntries)
  const cached = cache && { entries: entries.map(({ index }) => stepsIn(index)) }
  const results = path.join(plan.output, `.results-${randomUUID()}`)
  const secrets = secretFiles(plan)
  const egress = egressOf(plan, host, deps)
  const files = new Map<string, Buffer | string>([
    ['run.sh', buildahScript(plan, { bases, parts, cached }, secrets.places)],
    ...prepared.map(({ text }, at): [string, string] => [`Containerfile-${at}`, text]),
    ...secrets.files,
    ...egress.files,
    ...entries.map(({ index }, at): [string, string] => [`cached-${at}`, index]),
  ])
  // The layouts of all platforms share their blobs, which come with the first.
  const into = Object.fromEntries([
    ...parts.map((_, at) => [String(at), plan.output] as const),
    ...(cache ? [['cache', results] as const] : []),
  ])
  const listening = listenToBuildah(plan, deps)
  let received: Awaited<ReturnType<typeof receiveLayouts>> | undefined
  try {
    const end = await runSandbox(
      host,
      {
        id: plan.id,
        shows: new Map([
          ...(cache ? [['cache', cache.folder] as const] : []),
          ...[...plan.bases.values()].map(({ layout }, at) => [`base-${at}`, layout] as const),
        ]),
        limits: deps.limits,
        prepare: egress.prepare,
        feedInputs: (into, ended) => feedFiles(files, into, ended),
        feedContext: (into, ended) => feedContext(plan.context, deps.limits, into, ended),
        takeResult: async (from) => {
          if (cache) await mkdir(results)
          received = await receiveLayouts(from, into, deps.limits.diskBytes)
        },
        onOutput: listening.onOutput,
      },
      deps.signal,
    )
    listening.end()
    const failure = outcomeOf(end, listening.heard, deps.limits)
    if (failure) throw failure
    const known = new Map(bases.flatMap(({ layers }) => [...layers]))
    const kept = received?.get('cache')
    if (cache && kept) await keepEntry(cache, { key: cacheKey(plan), index: kept.index, blobs: results })
    const layouts = [...(received ?? new Map<string, Received>())]
      .filter(([name]) => name !== 'cache')
      .sort(([a], [b]) => Number(a) - Number(b))
      .map(([, one]) => one)
    const image = await finish(plan.output, layouts, known)
    const { cached, steps } = listening.heard
    deps.onProgress(steps, steps)
    return {
      digest: image.digest,
      mediaType: image.mediaType,
      cached,
      steps,
    }
  } finally {
    await rm(results, { recursive: true, force: true })
    cache?.close()
  }
}

/** The images of single steps in an entry that buildah left; none in one of BuildKit. */
function stepsIn(index: string): string[] {
  const { manifests = [] } = JSON.parse(index) as { manifests?: { annotations?: Record<string, string> }[] }
  return manifests
    .map(({ annotations }) => annotations?.['org.opencontainers.image.ref.name'] ?? '')
    .filter((name) => /^\d{1,3}$/.test(name))
}

function cacheKey({ containerfile, target, platforms }: BuildPlan): string {
  return JSON.stringify(['buildah', containerfile, target, platforms])
}

/** What is built for one platform. Images get names of their own: buildah looks for those of FROM before it fills ARGs in. */
function prepare(plan: BuildPlan, platform: string | null): { text: string; part: Part } {
  const { containerfile, network, buildArgs, target } = plan
  const options = { network, buildArgs, target, platforms: platform === null ? [] : [platform], runs: () => true }
  const { heredocLine, images, stageNames } = lintContainerfile(containerfile, options)
  if (heredocLine !== null) throw noHeredocs(heredocLine)
  const { text, names } = renameBases(containerfile, options, 'all')
  const references = [...plan.bases.keys()]
  const needed = images.flatMap(({ reference, platforms: [own] }) => {
    const base = references.indexOf(reference)
    const renamed = names.get(reference)
    // Under its own name it is wanted by COPY and RUN, unless that is a stage to them.
    const places = renamed === undefined ? [reference] : stageNames.has(reference) ? [renamed] : [renamed, reference]
    return base < 0 || own === undefined ? [] : places.map((name) => ({ base, name, platform: own }))
  })
  return { text, part: { platform, images: needed } }
}

/** buildah before 1.33 takes the lines of a heredoc for instructions, or does nothing and says nothing. */
function noHeredocs(line: number): Problem {
  return new Problem(400, 'containerfile_refused', `Containerfile:${line}: buildah knows no heredocs`, {
    field: 'containerfile',
    hint: 'Write it as one command line, COPY a file of the context, or ask for BuildKit to be installed.',
    more: { line },
  })
}

/** One image as it is, several as an index. */
async function finish(
  output: string,
  layouts: readonly Received[],
  known: ReadonlyMap<string, Descriptor>,
): Promise<Descriptor> {
  const adopted: Descriptor[] = []
  for (const one of layouts) {
    const { image, platform } = await adoptLayers(output, imageIn(one), known)
    adopted.push(layouts.length === 1 ? image : { ...image, platform })
  }
  const [only, ...more] = adopted
  if (!only) throw new Error('the sandbox gave no image')
  const image = more.length === 0 ? only : await writeIndex(output, adopted)
  await closeLayout(output, image)
  return image
}

function imageIn({ image }: Received): Descriptor {
  if (!image) throw new Error('the layout of the result does not hold one image')
  return image
}
