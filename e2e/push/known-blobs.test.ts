import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { type IncomingMessage, request } from 'node:http'
import path from 'node:path'
import { expect, test } from '@jest/globals'
import { until } from '../berth/processes.ts'
import { digestOf, octets, pathOf, withDigest } from '../conformance/wire.ts'
import { withWire } from './with-wire.ts'

// What has more than this is compared while it comes.
const large = 3_000_000

const { stack, wire, sql } = withWire()

/** The files of a blob, under whatever generation. */
function filesOf(digest: string): string[] {
  const hex = digest.slice('sha256:'.length)
  const folder = path.join(stack.home, 'blobs', 'blobs', 'sha256', hex.slice(0, 2))
  const names = existsSync(folder) ? readdirSync(folder) : []
  return names.filter((name) => name.startsWith(`${hex}.`)).map((name) => path.join(folder, name))
}

test('a large blob that the store has is linked where it is pushed again, and is not written again', async () => {
  const bytes = randomBytes(large)
  const digest = await wire().push('known/first', bytes)
  const before = filesOf(digest)
  expect(await wire().push('known/second', bytes)).toBe(digest)
  const got = await wire().send('GET', `/v2/known/second/blobs/${digest}`)
  expect(got.status).toBe(200)
  expect(got.body.equals(bytes)).toBe(true)
  expect(filesOf(digest)).toEqual(before)
})

test('a large blob that rotted where it lies is whole again once it is pushed anywhere', async () => {
  const bytes = randomBytes(large)
  const digest = await wire().push('known/third', bytes)
  const [file = ''] = filesOf(digest)
  const rotten = Buffer.from(bytes)
  rotten[large / 2] = (rotten[large / 2] ?? 0) ^ 1
  writeFileSync(file, rotten)
  await wire().push('known/fourth', bytes)
  await until('the blob is healed', () => filesOf(digest).length === 1 && readFileSync(file).equals(bytes))
})

test('what is collected while it comes again is asked for once more, and never acknowledged', async () => {
  const bytes = randomBytes(large)
  const digest = await wire().push('known/fifth', bytes)
  const outgoing = request(new URL(withDigest(pathOf(await wire().begin('known/sixth')), digest), stack.url), {
    method: 'PUT',
    headers: { ...wire().target.headers, ...octets, 'content-length': large },
  })
  const answer = new Promise<IncomingMessage>((resolve, reject) => outgoing.on('response', resolve).on('error', reject))
  outgoing.write(bytes.subarray(0, large / 2))
  await until('it is compared', async () => {
    const holder = 'compare:known/sixth'
    return (await sql().query('select from lease where digest = $1 and holder = $2', [digest, holder])).rowCount === 1
  })
  for (const table of ['lease', 'blob_link', 'blob'])
    await sql().query(`delete from ${table} where digest = $1`, [digest])
  outgoing.end(bytes.subarray(large / 2))
  const { statusCode, headers } = await answer
  outgoing.destroy()
  expect({ statusCode, retryAfter: headers['retry-after'] }).toEqual({ statusCode: 503, retryAfter: '1' })
  expect((await wire().send('HEAD', `/v2/known/sixth/blobs/${digest}`)).status).toBe(404)
  expect(await wire().push('known/sixth', bytes)).toBe(digestOf(bytes))
  expect((await wire().send('GET', `/v2/known/sixth/blobs/${digest}`)).body.equals(bytes)).toBe(true)
})
