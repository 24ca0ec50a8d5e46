import { readFileSync } from 'node:fs'

/** The version of this Berth, of all its parts together. */
export const version: string = (
  JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as { version: string }
).version
