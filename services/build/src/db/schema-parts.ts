import { eventTables } from '@berth/bus'

/** The folders that the schema of this service is made of. */
export const schemaParts = [eventTables, new URL('./', import.meta.url)]
