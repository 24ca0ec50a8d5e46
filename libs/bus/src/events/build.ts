import { defineEvent } from './event.ts'
import { count, names, text, uuid } from './fields.ts'

// Null where the repository would have been made with the image, and none came.
const place = { anyOf: [uuid, { type: 'null' }] }
const build = { buildId: uuid, repositoryId: place, repository: text, taskId: uuid }
type BuildIds = { buildId: string; repositoryId: string | null; repository: string; taskId: string }

export type BuildCompleted = BuildIds & {
  version: number
  digest: string
  tags: string[]
  /** Whether all of its steps were taken from the cache. */
  cached: boolean
  durationMs: number
}
export const buildCompleted = defineEvent<BuildCompleted>(
  'build',
  'build.completed',
  'An image was built; it is served.',
  { ...build, version: count, digest: text, tags: names, cached: { type: 'boolean' }, durationMs: count },
)

export type BuildFailed = BuildIds & { code: string; reason: string }
export const buildFailed = defineEvent<BuildFailed>('build', 'build.failed', 'A build ended without an image.', {
  ...build,
  code: text,
  reason: text,
})
