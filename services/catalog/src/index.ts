export { createCatalog } from './app.ts'
export { type CatalogConfig, catalogSettings, collectorSettings } from './config.ts'
