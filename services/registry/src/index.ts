export { createRegistry } from './app.ts'
export { pushSettings, type RegistryConfig, registrySettings } from './config.ts'
