import { runService } from '@berth/host'
import { createBuild } from './app.ts'
import { buildSettings } from './config.ts'

await runService('build', buildSettings, createBuild)
