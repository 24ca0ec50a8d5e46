export { createSync } from './app.ts'
export { type SyncConfig, syncSettings } from './config.ts'
