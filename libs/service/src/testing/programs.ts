import path from 'node:path'
import { fileURLToPath } from 'node:url'

/** The program of a service, or `standalone`, as a test starts it: joined, where the run of the tests has done that (docs/decisions/0058). */
export function programOf(name: string): string {
  const folder = process.env.BERTH_TEST_PROGRAMS
  return folder ? path.join(folder, `${name}.mjs`) : sourceOf(name)
}

/** The file of the repository that the program begins with. */
export function sourceOf(name: string): string {
  const place = name === 'standalone' ? 'deploy/standalone' : `services/${name}`
  return fileURLToPath(new URL(`../../../../${place}/src/main.ts`, import.meta.url))
}
