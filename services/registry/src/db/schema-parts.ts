/** The folders that the schema of this service is made of. */
export const schemaParts = [new URL('./', import.meta.url)]
