/**
 * What an image of a Containerfile lies in, taken from the store: an OCI layout, read-only, and the manifest or index in it that is
 * meant. Its files must be readable by everybody, for an account without rights reads them; the folders above it need not be. Blobs
 * may be hard links, not symbolic ones.
 */
export type Base = { layout: string; digest: string; mediaType: string }

/** A line of a build's log. `step` as the engine numbers them ("2/7", "builder 1/3"), null outside any. ANSI sequences are left in. */
export type BuildLine = { at: string; step: string | null; stream: 'stdout' | 'stderr'; text: string }

export type BuildPlan = {
  /** Unique per attempt; names the folders, the cgroup and the processes of it. */
  id: string
  containerfile: string
  /** The context as it was sent (tar, gzip or zstd, told by its first bytes); opened once. Without one there is an empty folder. */
  context: (() => Promise<NodeJS.ReadableStream>) | null
  /** Every image that the Containerfile names, by the reference as it stands there once its ARGs are filled in. */
  bases: ReadonlyMap<string, Base>
  buildArgs: ReadonlyMap<string, string>
  labels: ReadonlyMap<string, string>
  target: string | null
  /** `os/arch[/variant]`; empty: the machine's own. */
  platforms: readonly string[]
  noCache: boolean
  network: 'none' | 'egress'
  /** By id; mounted, and redacted by value in every line. */
  secrets: ReadonlyMap<string, Buffer>
  /** Seconds since 1970; no time of the result is later. */
  sourceDateEpoch: number
  /** The layer cache of the repository: a folder that the engine reads and writes; null: none. */
  cache: string | null
  /** An empty folder; the result is put here as an OCI layout with one manifest or index. Blobs that came with `bases` are left out. */
  output: string
}

export type BuildLimits = {
  seconds: number
  memoryBytes: number
  processes: number
  /** What the build may write, its unpacked context and bases among it; it lies in memory. */
  diskBytes: number
  contextBytes: number
  contextFiles: number
}

export type Built = {
  digest: string
  mediaType: string
  /** Steps taken from the cache, and all of them. */
  cached: number
  steps: number
}

export type BuildDeps = {
  limits: BuildLimits
  signal: AbortSignal
  onLine: (line: BuildLine) => void
  onProgress: (done: number, total: number) => void
}

/** One way to build. */
export type Engine = {
  name: 'buildkit' | 'buildah'
  version: string
  /** How many builds may run at once here: one where no cgroup can be made, since the kernel then counts processes by account. */
  mostAtOnce: number
  /**
   * Builds in the sandbox. Rejects with a `Problem` that tells the user why (422 `build_failed` with the step and its exit code,
   * `build_out_of_memory`, `build_timed_out`, …), or with the signal's reason. When it has ended, nothing of it runs or lies about
   * outside of `output` and `cache`.
   */
  build: (plan: BuildPlan, deps: BuildDeps) => Promise<Built>
}
