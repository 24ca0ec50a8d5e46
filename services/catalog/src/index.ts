export { createCatalog } from './app.ts'
export { collectorSettings, historySettings, transferSettings } from './config.ts'
