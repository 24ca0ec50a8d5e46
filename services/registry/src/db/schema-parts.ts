import { storeIdentityTable } from '@berth/blobs'
import { eventTables } from '@berth/bus'

/** The folders that the schema of this service is made of. */
export const schemaParts = [eventTables, storeIdentityTable, new URL('./', import.meta.url)]
