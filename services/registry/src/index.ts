export { createRegistry } from './app.ts'
export { type RegistryConfig, registrySettings } from './config.ts'
