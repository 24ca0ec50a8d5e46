export { createAuth } from './app.ts'
