import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { pushRandomImage } from '../berth/push.ts'
import { basic, make } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'
import { missingPrograms } from '../servers/programs.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'
import { openSkopeoShell, typePage } from './skopeo-shell.ts'
import { typeAll } from './tour.ts'

const missing = missingPrograms('skopeo', 'curl')
const describePage = missing.length > 0 ? describe.skip : describe

describePage(`the page about history${missing.length > 0 ? ` (skipped: ${missing.join(', ')} missing)` : ''}`, () => {
  const stack = withBerth()
  let folder: string
  let setUp: string

  beforeAll(async () => {
    folder = makeTemporaryFolder('pages-history')
    setUp = await openSkopeoShell(stack, folder)
    await pushRandomImage({ url: stack.url, authorization: basic(stack) }, 'pages-history/source', '2')
    const source = `docker://${stack.host}/pages-history/source:2`
    await typeAll([`skopeo copy -q --src-creds "$LOGIN" ${source} oci:app:2`], { cwd: folder, setUp })
  }, 90_000)
  afterAll(() => {
    if (folder) removeFolder(folder)
  })

  test('does what it says, typed as it is written', async () => {
    expect(await typePage('history', 'history', stack, { cwd: folder, setUp })).toBeGreaterThan(8)
  }, 60_000)

  test('shows nothing to who may not read, as if nothing were there, and nothing of what had the name before', async () => {
    const name = 'pages-history/again'
    const own = { url: stack.url, authorization: basic(stack) }
    await pushRandomImage(own, name, 'a')
    const path = `/repositories/${encodeURIComponent(name)}`
    const time = new Date().toISOString()
    const asked = [
      `${path}/tags/a/history`,
      `${path}/tags/a/at?time=${time}`,
      `/distributions/${encodeURIComponent(name)}/history`,
      `/distributions/${encodeURIComponent(name)}/at?time=${time}&tag=a`,
    ]
    const password = 'correct horse battery'
    await make(stack, '/users', { name: 'history-stranger', password })
    const authorization = `Basic ${btoa(`history-stranger:${password}`)}`
    for (const one of asked) {
      expect([one, (await stack.api('GET', one)).status]).toEqual([one, 200])
      const { status } = await fetch(`${stack.url}/api/v1${one}`, { headers: { authorization } })
      expect([one, status]).toEqual([one, 404])
    }
    for (const gone of [`/distributions/${encodeURIComponent(name)}`, path])
      expect((await stack.api('DELETE', gone)).status).toBe(204)
    await pushRandomImage(own, name, 'b')
    expect((await stack.api('GET', `${path}/tags/a/history`)).body).toEqual({ items: [], next: null })
    expect(await stack.api('GET', asked[1] ?? '')).toMatchObject({ status: 404, body: { code: 'history_unknown' } })
    expect(await stack.api('GET', asked[3] ?? '')).toMatchObject({ status: 404, body: { code: 'history_unknown' } })
    const bad = await stack.api('GET', `${path}/tags/a/at?time=yesterday`)
    expect([bad.status, bad.body.field]).toEqual([400, 'time'])
  }, 60_000)
})
