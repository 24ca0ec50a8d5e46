export { createCatalog } from './app.ts'
export { type CatalogConfig, catalogSettings, collectorSettings, retentionSettings, scrubSettings } from './config.ts'
