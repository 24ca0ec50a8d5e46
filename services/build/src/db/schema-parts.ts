import { eventTables } from '@berth/bus'
import { auditTables } from '@berth/service'

/** The folders that the schema of this service is made of. */
export const schemaParts = [eventTables, auditTables, new URL('./', import.meta.url)]
