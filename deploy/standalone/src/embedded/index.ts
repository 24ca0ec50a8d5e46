// The servers that Berth brings, for a program that needs them without it.
export { startPostgres } from './postgres.ts'
