import { migrateService } from '@berth/host'
import { schemaParts } from './db/schema-parts.ts'

await migrateService('build', schemaParts)
