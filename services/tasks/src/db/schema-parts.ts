import { eventTables } from '@berth/bus'
import { auditTables, textBytesFunction } from '@berth/service'

/** The folders that the schema of this service is made of. */
export const schemaParts = [eventTables, auditTables, textBytesFunction, new URL('./', import.meta.url)]
