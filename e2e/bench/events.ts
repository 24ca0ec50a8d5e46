import path from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { freePort } from '@berth/standalone/children'
import { startPostgres } from '@berth/standalone/embedded'
import pg from 'pg'
import { startNatsAt } from '../servers/nats.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'
import { callApi, startBerth } from './subjects.ts'

const events = 20_000
const goal = 2_000
const withinMs = 120_000

/**
 * From the commit of 20,000 events in catalog until auth, registry and the log of events have all of them: through NATS as Berth sets it up,
 * and through one that has each message on the disk before it acknowledges it.
 */
export async function measureEvents(): Promise<string> {
  const usual = await measureThrough({})
  const port = await freePort()
  const nats = await startNatsAt(port, undefined, { isDurable: true })
  let durable = 0
  try {
    durable = await measureThrough({ BERTH_NATS_URL: `nats://127.0.0.1:${port}` })
  } finally {
    await nats.stop()
  }
  const shown = (rate: number) => Math.round(rate).toLocaleString('en-US')
  return [
    `| Events, ${events.toLocaleString('en-US')} at once, from their commit until auth, registry and the log have them | unit | measured | goal |`,
    '| --- | --- | --- | --- |',
    `| through the NATS that Berth brings | events/s | ${shown(usual)} | ≥ ${shown(goal)}${usual >= goal ? '' : ', missed'} |`,
    `| with \`sync_interval: always\` | events/s | ${shown(durable)} |  |`,
  ].join('\n')
}

/** The median of three. */
async function measureThrough(more: NodeJS.ProcessEnv): Promise<number> {
  const folder = makeTemporaryFolder('bench-events')
  const postgres = await startPostgres({ home: path.join(folder, 'postgres') })
  const berth = await startBerth({ BERTH_DATABASE_URL: postgres.url, ...more })
  const db = new pg.Client({ connectionString: postgres.url })
  try {
    await db.connect()
    await callApi(berth, 'POST', '/repositories', { name: 'bench/events' })
    const rates: number[] = []
    for (let run = 0; run < 3; run++) rates.push(await measure(db))
    return rates.sort((a, b) => a - b)[1] ?? 0
  } finally {
    await db.end()
    await berth.stop()
    await postgres.stop()
    removeFolder(folder)
  }
}

async function measure(db: pg.Client): Promise<number> {
  const found = await db.query<{ head: number; id: string }>(
    'select position::integer as head, repository.id from catalog.outbox_head cross join catalog.repository',
  )
  const [{ head, id } = { head: 0, id: '' }] = found.rows
  const startedAt = performance.now()
  await db.query(
    `insert into catalog.outbox (id, subject, event)
     select id, 'berth.v1.catalog.version.deleted.' || $1, jsonb_build_object(
       'specversion', '1.0', 'id', id, 'source', '/services/catalog', 'type', 'dev.berth.catalog.version.deleted.v1',
       'subject', 'repositories/' || $1, 'time', '2026-11-29T12:00:00.000Z', 'datacontenttype', 'application/json', 'actor', 'bench',
       'data', jsonb_build_object('repositoryId', $1, 'name', 'bench/events', 'number', n, 'revision', 1))
     from (select gen_random_uuid() as id, n from generate_series(1, $2) as n) as made`,
    [id, events],
  )
  const wanted = head + events
  while (performance.now() - startedAt < withinMs) {
    const { rows } = await db.query<{ least: number }>(
      `select least(
         (select position from auth.inbox where consumer = 'auth-catalog'),
         (select position from registry.inbox where consumer = 'registry-catalog'),
         (select position from tasks.inbox where consumer = 'tasks-catalog'))::integer as least`,
    )
    if ((rows[0]?.least ?? 0) >= wanted) return (events / (performance.now() - startedAt)) * 1_000
    await pause(50)
  }
  throw new Error(`not all of ${events} events arrived within ${withinMs / 1_000} s`)
}
