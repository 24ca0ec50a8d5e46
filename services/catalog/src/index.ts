export { createCatalog } from './app.ts'
export { collectorSettings, historySettings, retentionSettings, scrubSettings } from './config.ts'
