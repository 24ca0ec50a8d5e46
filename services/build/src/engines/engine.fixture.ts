import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Base, BuildLimits, BuildLine, BuildPlan, Engine } from './engine.ts'
import { findEngine } from './find-engine.ts'

const limits: BuildLimits = {
  seconds: 60,
  memoryBytes: 256 << 20,
  processes: 100,
  diskBytes: 128 << 20,
  contextBytes: 64 << 20,
  contextFiles: 1000,
}

export type Bench = Awaited<ReturnType<typeof createBench>>

/** Who builds in tests. */
export function testSettings(folder: string) {
  return { folder, user: process.env.BERTH_TEST_BUILD_USER ?? (process.getuid?.() === 0 ? 'berth-build' : undefined) }
}

/** Why nothing can be built on this machine, if so; a sandbox is tried. */
export async function whyNoBuilds(): Promise<string | undefined> {
  if (!existsSync('/bin/busybox')) return 'apt-get install busybox-static'
  const folder = await mkdtemp(path.join(tmpdir(), 'berth-build-'))
  try {
    const found = await findEngine(testSettings(folder))
    return 'missing' in found ? found.missing : undefined
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** A folder for builds, with contexts and results in it. */
export async function createBench() {
  const folder = await mkdtemp(path.join(tmpdir(), 'berth-build-'))
  const context = path.join(folder, 'context')
  await mkdir(context)
  await copyFile('/bin/busybox', path.join(context, 'busybox'))
  const ids: string[] = []
  return {
    folder,
    context,
    /** Of all builds so far. */
    ids,
    /** Builds, and answers what came of it with its log. */
    build: async (
      engine: Engine,
      containerfile: string,
      {
        limits: own = {},
        signal = new AbortController().signal,
        onLine = () => undefined,
        ...over
      }: Partial<BuildPlan> & {
        limits?: Partial<BuildLimits>
        signal?: AbortSignal
        onLine?: (line: BuildLine) => void
      } = {},
    ) => {
      const lines: BuildLine[] = []
      const output = await mkdtemp(path.join(folder, 'output-'))
      const plan: BuildPlan = {
        id: randomUUID(),
        containerfile,
        context: async () => spawn('tar', ['-cz', '-C', context, '.']).stdout,
        bases: new Map<string, Base>(),
        buildArgs: new Map(),
        labels: new Map(),
        target: null,
        platforms: [],
        noCache: false,
        network: 'none',
        secrets: new Map(),
        sourceDateEpoch: 0,
        cache: null,
        output,
        ...over,
      }
      ids.push(plan.id)
      const heard = (line: BuildLine) => {
        if (lines.length < 10_000) lines.push(line)
        onLine(line)
      }
      const text = () => lines.map((line) => line.text).join('\n')
      try {
        const built = await engine.build(plan, {
          limits: { ...limits, ...own },
          signal,
          onLine: heard,
          onProgress: () => undefined,
        })
        return { built, output, text: text(), failure: undefined }
      } catch (error) {
        return { built: undefined, output, text: text(), failure: error as Error & { code?: string; status?: number } }
      }
    },
    write: (name: string, text: string) => writeFile(path.join(context, name), text),
    close: () => rm(folder, { recursive: true, force: true }),
  }
}

/** The beginning of a Containerfile with a shell. */
export const withShell = `FROM scratch
COPY busybox /bin/busybox
RUN ["/bin/busybox", "--install", "-s", "/bin"]
`
