export { createCatalog } from './app.ts'
export { collectorSettings, historySettings } from './config.ts'
