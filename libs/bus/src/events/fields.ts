export const text = { type: 'string' }
export const uuid = { type: 'string', format: 'uuid' }
export const count = { type: 'integer', minimum: 0 }
export const digest = { type: 'string', pattern: '^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$' }

/** Most names in one event; a count beside them says how many there are. */
export const nameLimit = 1_000
export const names = { type: 'array', items: text, maxItems: nameLimit }
/** The account that something belongs to; null: its namespace, or administrators. */
export const owner = { type: ['string', 'null'], format: 'uuid' }
export const repository = { repositoryId: uuid, name: text }
