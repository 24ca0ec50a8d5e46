export { createRegistry } from './app.ts'
export { pushSettings } from './config.ts'
