import { afterAll, beforeAll } from '@jest/globals'
import pg from 'pg'
import type { Berth } from '../berth/berth.ts'
import { withBerth } from '../berth/with-berth.ts'
import { berthTarget } from '../conformance/berth.ts'
import { Wire } from '../conformance/wire.ts'

/** A Berth around the tests of a file, bare requests to it, and the tables of its catalog; the last two are there once the tests begin. */
export function withWire(): { stack: Berth; wire: () => Wire; sql: () => pg.Client } {
  let wire: Wire | undefined
  let sql: pg.Client | undefined
  // Above the Berth, so that both are closed before it is given back.
  afterAll(async () => {
    await sql?.end()
    wire?.close()
  })
  const stack = withBerth()
  beforeAll(async () => {
    wire = new Wire(berthTarget(stack))
    sql = new pg.Client({ connectionString: stack.databaseUrl, options: '-c search_path=catalog' })
    await sql.connect()
  }, 60_000)
  const started = <T>(one: T | undefined): T => {
    if (!one) throw new Error('it is not started yet: use it in tests and hooks')
    return one
  }
  return { stack, wire: () => started(wire), sql: () => started(sql) }
}
