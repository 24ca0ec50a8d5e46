import { test } from '@jest/globals'
import type { BuiltImages } from '../servers/images.ts'
import { missingPrograms } from '../servers/programs.ts'

/** What a client finds at a registry. */
export type Manifest = {
  mediaType: string
  config: { digest: string; mediaType: string }
  layers: { digest: string; mediaType: string; size: number }[]
  manifests: { digest: string; platform: { architecture: string } }[]
}

/** A Berth that holds `clients/app` under the tags of the built images, and a folder with a login to it. */
export type Scene = {
  /** `localhost:PORT`, as in image names. */
  host: () => string
  url: () => string
  /** Of the administrator. */
  password: () => string
  images: () => BuiltImages
  /** A path in the folder of the scene. */
  at: (...names: string[]) => string
  /** What Berth serves, checked against its digest. */
  served: (repository: string, reference: string) => Promise<{ digest: string; manifest: Manifest }>
}

const patienceMs = 60_000

/** A test that says in its title why it does not run, where a program is missing. */
export function testWith(programs: string[], title: string, run: () => Promise<void>, why?: string): void {
  const missing = missingPrograms(...programs)
  const reason = why ?? (missing.length > 0 ? `not installed: ${missing.join(', ')}` : undefined)
  const maybe = reason ? test.skip : test
  maybe(reason ? `${title} (${reason})` : title, run, patienceMs)
}
