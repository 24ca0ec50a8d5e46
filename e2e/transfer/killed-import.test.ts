import { expect, test } from '@jest/globals'
import { query } from '../berth/databases.ts'
import { pushRandomImage } from '../berth/push.ts'
import { basic, getManifest, repositoryPath } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'

// At each tenth of the way with BERTH_TEST_KILLS=9; each kill costs some seconds.
const kills = Number(process.env.BERTH_TEST_KILLS ?? 1)
const leaseSeconds = 3
const stack = withBerth({ own: true, env: { BERTH_TASK_LEASE_SECONDS: String(leaseSeconds) } })
const images = 12
const layers = Array<number>(40).fill(20_000)

/** How many digests an import has noted as read and right. */
const verified = async (id: string): Promise<number> => {
  const noted = 'select count(*)::integer as count from catalog.import_verified where import_id = $1'
  const [row] = (await query(stack.databaseUrl ?? '', noted, [id])) as { count: number }[]
  return row?.count ?? 0
}

/** An archive of a repository that is nowhere here any more. */
async function exportAndForget(name: string): Promise<Buffer> {
  const { body } = await stack.api('POST', '/exports', { repositories: [{ name }], to: { kind: 'download' } })
  const { exportId } = (await stack.waitForTask(body.id)).result
  const answer = await fetch(`${stack.url}/api/v1/exports/${exportId}/download`, {
    headers: { authorization: basic(stack) },
  })
  const bytes = Buffer.from(await answer.arrayBuffer())
  for (const path of [`/exports/${exportId}`, `/distributions/${encodeURIComponent(name)}`, repositoryPath(name)])
    expect((await stack.api('DELETE', path)).status).toBe(204)
  await query(stack.databaseUrl ?? '', 'delete from catalog.lease')
  await query(stack.databaseUrl ?? '', `update catalog.blob_link set kept_until = now() - interval '1 second'`)
  const { body: collecting } = await stack.api('POST', '/store/gc', { graceSeconds: 0 })
  expect((await stack.waitForTask(collecting.id)).result.removed).toBeGreaterThan(images * layers.length)
  return bytes
}

test(`an import that is killed ${kills} times on its way ends with the right result, and reads nothing twice`, async () => {
  const target = { url: stack.url, authorization: basic(stack) }
  const digests = new Map<string, string>()
  for (let at = 0; at < images; at++)
    digests.set(`v${at}`, (await pushRandomImage(target, 'killed/app', `v${at}`, layers)).digest)
  const bytes = await exportAndForget('killed/app')
  const { body: made } = await stack.api('POST', '/imports', { from: { kind: 'upload' } })
  const sent = await fetch(`${stack.url}${made.upload}`, {
    method: 'PATCH',
    headers: { authorization: basic(stack), 'content-type': 'application/octet-stream' },
    body: new Uint8Array(bytes),
  })
  expect(sent.status).toBe(202)
  const total = images * (layers.length + 1) + 1
  const { body: task } = await stack.api('POST', `/imports/${made.id}/apply`, {})
  const seen: number[] = []
  for (let kill = 1; kill <= kills; kill++) {
    const wanted = (total * kill) / (kills + 1)
    for (const until = Date.now() + 60_000; (await verified(made.id)) < wanted; )
      if (Date.now() > until)
        throw new Error(`after kill ${kill - 1} the import did not go on: ${JSON.stringify(seen)}`)
    await stack.kill('SIGKILL')
    seen.push(await verified(made.id))
    expect(await query(stack.databaseUrl ?? '', `select from catalog.repository where name = 'killed/app'`)).toEqual([])
    await stack.restart()
  }
  const ended = await stack.waitForTask(task.id, 90_000)
  expect(ended).toMatchObject({ state: 'completed', result: { repositories: [{ version: 1, created: true }] } })
  // Some were killed on the way, and what had come by then was not read again.
  expect(seen.filter((count) => count > 0 && count < total).length).toBeGreaterThanOrEqual(Math.ceil(kills / 2))
  expect(ended.result.blobs.known).toBeGreaterThan(0)
  const twice = await query(stack.databaseUrl ?? '', 'select digest from catalog.import_verified where times > 1')
  expect(twice).toEqual([])
  for (const [tag, digest] of digests)
    expect((await getManifest(`${stack.url}/v2/killed/app/manifests/${tag}`, stack)).digest).toBe(digest)
}, 300_000)
