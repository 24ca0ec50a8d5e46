import { randomBytes } from 'node:crypto'
import { expect, test } from '@jest/globals'
import { digestOf } from '../conformance/wire.ts'
import { withWire } from './with-wire.ts'

const { wire, sql } = withWire()

const head = (digest: string) => wire().send('HEAD', `/v2/kept/blobs/blobs/${digest}`)

test('a blob that a pusher finds by HEAD is kept for its manifest', async () => {
  const bytes = randomBytes(1_000)
  const digest = await wire().push('kept/blobs', bytes)
  await sql().query('delete from lease where digest = $1', [digest])
  expect((await head(digest)).status).toBe(200)
  const { rows } = await sql().query('select holder, expires_at > now() as live from lease where digest = $1', [digest])
  expect(rows).toEqual([{ holder: 'push:kept/blobs', live: true }])
})

test('a pusher does not find a blob that the collector is taking away, and may push it again', async () => {
  const bytes = randomBytes(1_000)
  const digest = await wire().push('kept/blobs', bytes)
  await sql().query("update blob set state = 'removing' where digest = $1", [digest])
  expect((await head(digest)).status).toBe(404)
  expect(await wire().push('kept/blobs', bytes)).toBe(digestOf(bytes))
  expect((await head(digest)).status).toBe(200)
})
