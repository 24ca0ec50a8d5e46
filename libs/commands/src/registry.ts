import type { ServedDistribution, ServedPullThrough } from './served.ts'

/** A repository that registry cannot follow: it is served as it was, and tried again. Times in ISO 8601. */
export type IsolatedRepository = {
  id: string
  since: string
  failures: number
  nextTryAt: string
  /** What the last try failed with. */
  reason: string
}

/** Registry's internal commands. */
export type RegistryCommands = {
  /** Answers once the repository is served at this revision or a later one. */
  'follow-repository': { request: { repositoryId: string; revision: number }; reply: Record<string, never> }
  /** Writes all that is known of a repository anew, from this revision on; readers see the old until it is there. */
  'rebuild-repository': { request: { repositoryId: string; revision: number }; reply: Record<string, never> }
  /** Answers once the distribution is served as given, or as a later revision says. */
  'follow-distribution': { request: ServedDistribution; reply: Record<string, never> }
  /** The same for a pull-through distribution. */
  'follow-pull-through': { request: ServedPullThrough; reply: Record<string, never> }
  /** Answers once it is known that there is such a namespace, so that no name in it is looked for elsewhere. */
  'follow-namespace': { request: { name: string }; reply: Record<string, never> }
  /** Repositories that cannot be followed, those that have failed for the longest time first. */
  'list-isolated-repositories': { request: { limit: number }; reply: { repositories: IsolatedRepository[] } }
  /** Answers once the deletion of a repository is served. */
  'forget-repository': { request: { repositoryId: string }; reply: Record<string, never> }
}
