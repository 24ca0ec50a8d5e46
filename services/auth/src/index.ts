export { createAuth } from './app.ts'
export { type AuthConfig, authSettings } from './config.ts'
