/** The part of a schema that announces and receives events, for `applyMigrations`. */
export const eventTables = new URL('./db/', import.meta.url)
