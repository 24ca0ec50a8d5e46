export { createCatalog } from './app.ts'
export { collectorSettings, retentionSettings, scrubSettings } from './config.ts'
