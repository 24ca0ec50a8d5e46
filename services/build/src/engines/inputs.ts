import type { Readable, Writable } from 'node:stream'
import { cleanContext } from '../context/check-context.ts'
import { padding, tarEnd, writeHeader } from '../context/tar-header.ts'
import { egressFiles, openEgress } from '../egress/in-sandbox.ts'
import { feed } from '../sandbox/feed.ts'
import type { SandboxHost, SandboxJob } from '../sandbox/run-sandbox.ts'
import type { BuildDeps, BuildLimits, BuildPlan } from './engine.ts'

/** Writes small files into a sandbox; nothing of them ever lies on a disk. */
export async function feedFiles(
  files: ReadonlyMap<string, Buffer | string>,
  into: Writable,
  signal: AbortSignal,
): Promise<void> {
  const parts = [...files].flatMap(([name, content]) => {
    const bytes = Buffer.from(content as string)
    const header = { name, type: '0', mode: 0o600, size: bytes.length, mtime: 0, linkName: '' }
    return [writeHeader(header), bytes, padding(bytes.length)]
  })
  await feed([Buffer.concat([...parts, tarEnd])], into, signal)
}

/** Writes the context into a sandbox, checked as it goes. */
export async function feedContext(
  context: BuildPlan['context'],
  { diskBytes, contextFiles }: BuildLimits,
  into: Writable,
  signal: AbortSignal,
): Promise<void> {
  if (!context) return feed([tarEnd], into, signal)
  const source = (await context()) as Readable
  const end = () => source.destroy()
  signal.addEventListener('abort', end, { once: true })
  if (signal.aborted) end()
  try {
    await feed(cleanContext(source, { bytes: diskBytes, files: contextFiles }), into, signal)
  } finally {
    signal.removeEventListener('abort', end)
    source.destroy()
  }
}

/** The secrets of a plan as files, and where each lies inside. */
export function secretFiles(plan: BuildPlan): { files: [string, Buffer][]; places: [id: string, file: string][] } {
  const entries = [...plan.secrets]
  return {
    files: entries.map(([, value], at) => [`secret-${at}`, value]),
    places: entries.map(([id], at) => [id, `/work/in/secret-${at}`]),
  }
}

/** What a build with egress has besides: the way out, files for its inner side, the lines that open it. */
export function egressOf(
  { network }: BuildPlan,
  { allowPrivateEgress = false }: SandboxHost,
  { onLine }: BuildDeps,
): { prepare: SandboxJob['prepare']; files: [string, string][] } {
  if (network !== 'egress') return { prepare: undefined, files: [] }
  const onRefused = (text: string) => onLine({ at: new Date().toISOString(), step: null, stream: 'stderr', text })
  return {
    prepare: (place) => openEgress(place, { allowPrivateAddresses: allowPrivateEgress, onRefused }),
    files: egressFiles,
  }
}
