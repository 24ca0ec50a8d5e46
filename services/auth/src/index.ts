export { createAuth } from './app.ts'
export { adminSettings, externalLoginSettings } from './config.ts'
