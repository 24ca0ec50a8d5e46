import { spawnSync } from 'node:child_process'
import { readdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { findSystemPostgres, type SystemPostgres, startSystemPostgres } from '../servers/system-postgres.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'
import { helmMissing, render } from './helm.ts'
import { valueSets } from './value-sets.ts'

const system = findSystemPostgres()
const missing = helmMissing ?? ('why' in system ? system.why : undefined)
const group = missing ? describe.skip : describe

group(`the backup of the chart${missing ? ` (skipped: ${missing})` : ''}`, () => {
  let folder: string
  let database: SystemPostgres
  beforeAll(async () => {
    folder = makeTemporaryFolder('chart-backup')
    database = await startSystemPostgres('binFolder' in system ? system.binFolder : '')
  }, 60_000)
  afterAll(async () => {
    await database?.stop()
    removeFolder(folder)
  })

  /** Runs what the container runs. */
  const run = (PGDATABASE: string) => {
    const job = render(valueSets.backups as object).find(({ kind }) => kind === 'CronJob')
    const [container] = job?.spec.jobTemplate.spec.template.spec.containers ?? []
    const script = container.args[0].replace('cd /backup', `cd '${folder}'`)
    const { hostname: PGHOST, port: PGPORT, username: PGUSER, password: PGPASSWORD } = new URL(database.url)
    const PATH = `${'binFolder' in system ? system.binFolder : ''}:${process.env.PATH}`
    const env = { PATH, KEEP: '3', PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE }
    return spawnSync(container.command[0], [...container.command.slice(1), script], { env, encoding: 'utf8' })
  }

  test('is a whole dump, of which the last are kept; one that failed leaves those of before', () => {
    for (const day of [1, 2, 3]) writeFileSync(path.join(folder, `berth-2026-01-0${day}T00-00-00Z.dump`), 'older')
    writeFileSync(path.join(folder, 'berth-2026-01-04T00-00-00Z.dump.partial'), 'of one that was ended')
    const { status, stdout, stderr } = run(new URL(database.url).pathname.slice(1))
    expect([status, stdout, stderr]).toEqual([0, expect.stringMatching(/^berth-\S+\.dump: \d+ bytes\n$/), ''])
    const kept = readdirSync(folder).toSorted((one, other) => one.localeCompare(other))
    expect(kept.slice(0, 2)).toEqual(['berth-2026-01-02T00-00-00Z.dump', 'berth-2026-01-03T00-00-00Z.dump'])
    expect(kept).toHaveLength(3)
    expect(run('absent').status).not.toBe(0)
    expect(readdirSync(folder).filter((name) => name.endsWith('.dump'))).toHaveLength(3)
  })
})
