import type { CatalogCommands, CommandClient } from '@berth/commands'
import type { OpenRemote } from '../remotes/open-remote.ts'
import type { Failures } from './failures.ts'
import type { Store } from './lease-blobs.ts'
import type { Progress } from './progress.ts'
import type { Proofs } from './proofs.ts'
import type { Stage } from './stage-content.ts'

/** The repository upstream that content is fetched from, and what it has to show first. */
export type Upstream = OpenRemote & { proofs: Proofs }

/** Which of the content is wanted, as the remote says, and whether a run only finds out what it would do. */
export type Options = {
  /** Of indexes only these are followed; all, when there are none. */
  platforms: readonly string[]
  /** Whether layers that manifests only point to are fetched from there. */
  includeForeignLayers: boolean
  /** Nothing is leased, stored or staged. */
  isPlan: boolean
}

/** Where it is told what was done, and what failed. */
export type Report = { progress: Progress; failures: Failures }

/** What fetching works with, by concern; each function takes those that it reads. */
export type FetchDeps = {
  catalog: CommandClient<CatalogCommands>
  upstream: Upstream
  store: Store
  stage: Stage
  options: Options
  report: Report
}
