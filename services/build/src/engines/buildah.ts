import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { Problem } from '@berth/service'
import { lintContainerfile } from '../containerfile/lint.ts'
import { adoptLayers, writeIndex } from '../layouts/adopt-layers.ts'
import { type Descriptor, readBase } from '../layouts/read-base.ts'
import { receiveLayouts } from '../layouts/receive-layout.ts'
import { runSandbox, type SandboxHost } from '../sandbox/run-sandbox.ts'
import { buildahScript } from './buildah-script.ts'
import type { BuildDeps, BuildPlan, Built, Engine } from './engine.ts'
import { feedContext, feedFiles, secretFiles } from './inputs.ts'
import { listenToBuildah } from './listen-to-buildah.ts'
import { outcomeOf } from './outcome.ts'

const run = promisify(execFile)

/** buildah, where it is installed. */
export async function findBuildah(host: SandboxHost): Promise<Engine | undefined> {
  try {
    const { stdout } = await run('buildah', ['--version'])
    const version = /version (\S+)/.exec(stdout)?.[1] ?? 'unknown'
    const build = (plan: BuildPlan, deps: BuildDeps) => buildByBuildah(host, plan, deps)
    return { name: 'buildah', version, mostAtOnce: host.cgroups ? Number.POSITIVE_INFINITY : 1, build }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

async function buildByBuildah(host: SandboxHost, plan: BuildPlan, deps: BuildDeps): Promise<Built> {
  refuseHeredoc(plan)
  const bases = await Promise.all([...plan.bases.values()].map(readBase))
  const secrets = secretFiles(plan)
  const files = new Map<string, Buffer | string>([
    ['run.sh', buildahScript(plan, bases, secrets.places)],
    ['Containerfile', plan.containerfile],
    ...secrets.files,
  ])
  const listening = listenToBuildah(plan, deps)
  let received: Awaited<ReturnType<typeof receiveLayouts>> | undefined
  const end = await runSandbox(
    host,
    {
      id: plan.id,
      shows: new Map([...plan.bases.values()].map(({ layout }, at) => [`base-${at}`, layout])),
      limits: deps.limits,
      feedInputs: (into) => feedFiles(files, into),
      feedContext: (into) => feedContext(plan.context, deps.limits, into),
      takeResult: async (from) => {
        received = await receiveLayouts(from, plan.output, deps.limits.diskBytes)
      },
      onOutput: listening.onOutput,
    },
    deps.signal,
  )
  listening.end()
  const failure = outcomeOf(end, listening.heard, deps.limits)
  if (failure) throw failure
  const known = new Map(bases.flatMap(({ layers }) => [...layers]))
  const image = await finish(plan.output, received?.images ?? [], known)
  const { cached, steps } = listening.heard
  deps.onProgress(steps, steps)
  return { digest: image.digest, mediaType: image.mediaType, sizeBytes: received?.bytes ?? 0, cached, steps }
}

/** buildah before 1.33 takes the lines of a heredoc for instructions, or does nothing and says nothing. */
function refuseHeredoc({ containerfile, network, buildArgs, platforms, target }: BuildPlan): void {
  const { heredocLine } = lintContainerfile(containerfile, { network, buildArgs, platforms, target, runs: () => true })
  if (heredocLine === null) return
  throw new Problem(400, 'containerfile_refused', `Containerfile:${heredocLine}: buildah knows no heredocs`, {
    field: 'containerfile',
    hint: 'Write it as one command line, COPY a file of the context, or ask for BuildKit to be installed.',
    more: { line: heredocLine },
  })
}

/** One image as it is, several as an index. */
async function finish(
  output: string,
  images: Descriptor[],
  known: ReadonlyMap<string, Descriptor>,
): Promise<Descriptor> {
  const adopted: Descriptor[] = []
  for (const one of images) {
    const { image, platform } = await adoptLayers(output, one, known)
    adopted.push(images.length === 1 ? image : { ...image, platform })
  }
  const [only, ...more] = adopted
  if (!only) throw new Error('the sandbox gave no image')
  const image = more.length === 0 ? only : await writeIndex(output, adopted)
  await writeFile(path.join(output, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [image] }))
  return image
}
