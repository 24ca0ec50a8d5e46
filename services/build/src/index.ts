export { createBuild } from './app.ts'
export { type BuildConfig, buildSettings } from './config.ts'
