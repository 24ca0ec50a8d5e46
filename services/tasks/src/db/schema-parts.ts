import { eventTables } from '@berth/bus'
import { textBytesFunction } from '@berth/service'

/** The folders that the schema of this service is made of. */
export const schemaParts = [eventTables, textBytesFunction, new URL('./', import.meta.url)]
