import { rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { openDatabase } from './database.ts'
import { databaseProblem, isPassing } from './database-away.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'berth-test-away-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

test('a socket that is not there is a database that is away, and a file that is not there is not', async () => {
  const db = openDatabase({
    url: `postgresql://berth:secret@localhost/berth?host=${encodeURIComponent(folder)}`,
    schema: 'none',
  })
  await expect(db.query('select 1')).rejects.toMatchObject({ status: 503, code: 'database_unavailable' })
  await db.close()
  const refused = Object.assign(new Error('no such file'), { code: 'ENOENT', syscall: 'open' })
  expect(databaseProblem(refused)).toBeUndefined()
  expect(isPassing(refused)).toBe(false)
})
