import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { imageOf, requireTokens } from '@berth/registry-client/misbehaving-upstream'
import { expect, test } from '@jest/globals'
import { localRemote, make, sync } from '../berth/requests.ts'
import { withBerth, withUpstream } from '../berth/with-berth.ts'

const [oldKey, key] = [1, 2].map(() => randomBytes(32).toString('base64'))
const stack = withBerth({ own: true, env: { BERTH_SECRETS_KEY: oldKey } })
const upstream = withUpstream()

test('after a change of the key remotes log in and tokens hold, with the old key for one start only', async () => {
  const login = { username: 'reader', password: 'pl4nted' }
  const realm = requireTokens(upstream, { login })
  const name = 'keys/app'
  await make(stack, '/remotes', localRemote(name, upstream.url, 'library/app', login))
  await make(stack, '/repositories', { name })
  const syncNew = async (image: string) => {
    upstream.add('library/app', image, imageOf(image, 100))
    await sync(stack, name, name)
  }
  await syncNew('one')
  await stack.kill('SIGTERM')
  await stack.restart({ BERTH_SECRETS_KEY: key, BERTH_SECRETS_PREVIOUS_KEYS: oldKey })
  await syncNew('two')
  await stack.kill('SIGTERM')
  const file = path.join(stack.home, 'key')
  writeFileSync(file, `${key}\n`, { mode: 0o600 })
  await stack.restart({
    BERTH_SECRETS_KEY: undefined,
    BERTH_SECRETS_PREVIOUS_KEYS: undefined,
    BERTH_SECRETS_KEY_FILE: file,
    BERTH_PROCESSES: 'true',
  })
  await syncNew('three')
  const rotated = await stack.api('POST', '/remotes/rotate-keys')
  expect(rotated).toMatchObject({ status: 200, body: { resealed: 0, unreadable: [] } })
  expect(realm.asked.every(({ given }) => given)).toBe(true)
}, 180_000)
