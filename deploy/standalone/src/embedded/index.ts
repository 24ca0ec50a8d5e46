// The servers that Berth brings, for a program that needs them without it.
export { type EmbeddedPostgres, startPostgres } from './postgres.ts'
