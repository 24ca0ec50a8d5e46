export { createSync } from './app.ts'
