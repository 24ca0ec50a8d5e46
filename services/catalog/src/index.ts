export { createCatalog } from './app.ts'
export { type CatalogConfig, catalogSettings, collectorSettings, retentionSettings } from './config.ts'
