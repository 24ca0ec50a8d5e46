import { storeIdentityTable } from '@berth/blobs'
import { eventTables } from '@berth/bus'
import { textBytesFunction } from '@berth/service'

/** The folders that the schema of this service is made of. */
export const schemaParts = [eventTables, storeIdentityTable, textBytesFunction, new URL('./', import.meta.url)]
