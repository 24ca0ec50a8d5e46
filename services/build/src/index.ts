export { createBuild } from './app.ts'
export { buildOwnSettings } from './config.ts'
export { searchHere } from './work/search-here.ts'
