// The servers that Berth brings, for a program that needs them without it.
export { startNats } from './nats-server.ts'
export { startPostgres } from './postgres.ts'
