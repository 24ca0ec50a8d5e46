export { createCatalog } from './app.ts'
export { type CatalogConfig, catalogSettings } from './config.ts'
