import { authRows } from './matrix-rows/auth.ts'
import { buildRows } from './matrix-rows/build.ts'
import { catalogRows } from './matrix-rows/catalog.ts'
import type { Rows } from './matrix-rows/row.ts'
import { syncRows } from './matrix-rows/sync.ts'
import { tasksRows } from './matrix-rows/tasks.ts'

export { type Role, type Row, roles, type Things } from './matrix-rows/row.ts'

/** Every route of the API. One that is not here fails the test. */
export const table: Rows = { ...catalogRows, ...syncRows, ...tasksRows, ...buildRows, ...authRows }
