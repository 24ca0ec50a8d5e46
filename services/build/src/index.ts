export { createBuild } from './app.ts'
