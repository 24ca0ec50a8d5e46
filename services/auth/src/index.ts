export { createAuth } from './app.ts'
export { externalLoginSettings } from './config.ts'
