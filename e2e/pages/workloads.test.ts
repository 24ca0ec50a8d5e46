import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { pushRandomImage } from '../berth/push.ts'
import { basic } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'
import { missingPrograms } from '../servers/programs.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'
import { openSkopeoShell, typePage } from './skopeo-shell.ts'

const missing = missingPrograms('skopeo', 'curl')
const describePages = missing.length > 0 ? describe.skip : describe

describePages(
  `the pages about workloads${missing.length > 0 ? ` (skipped: ${missing.join(', ')} missing)` : ''}`,
  () => {
    const stack = withBerth({ own: true })
    let folder: string
    let setUp: string

    beforeAll(async () => {
      folder = makeTemporaryFolder('pages-workloads')
      setUp = await openSkopeoShell(stack, folder)
      await pushRandomImage({ url: stack.url, authorization: basic(stack) }, 'team/app', '1')
    }, 90_000)
    afterAll(() => {
      if (folder) removeFolder(folder)
    })

    test('Kubernetes pulls as the page says, before and after its secret was exchanged', async () => {
      expect(await typePage('kubernetes', 'kubernetes', stack, { cwd: folder, setUp })).toBe(7)
    }, 120_000)

    test('a pipeline pushes without a secret as the page says, with the keys and a token of a cluster', async () => {
      writeFileSync(path.join(folder, 'kubectl.mjs'), kubectl)
      const cluster = `kubectl() { ${process.execPath} ${folder}/kubectl.mjs "$@"; }`
      const options = { cwd: folder, setUp: `${setUp}\n${cluster}` }
      expect(await typePage('ci-without-secrets', 'ci', stack, options)).toBe(12)
    }, 120_000)
  },
)

// The part of a cluster that the page uses: its keys, and tokens of service accounts as Kubernetes makes them.
const kubectl = `
import { createPrivateKey, createPublicKey, generateKeyPairSync, sign } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
const file = new URL('./cluster.pem', import.meta.url)
if (!existsSync(file)) {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  writeFileSync(file, privateKey.export({ type: 'pkcs8', format: 'pem' }))
}
const key = createPrivateKey(readFileSync(file))
const [verb, what, name] = process.argv.slice(2)
const option = (named) => process.argv[process.argv.indexOf(named) + 1]
if (verb === 'get') {
  const jwk = createPublicKey(key).export({ format: 'jwk' })
  console.log(JSON.stringify({ keys: [{ use: 'sig', kid: 'cluster', alg: 'RS256', ...jwk }] }))
} else if (verb === 'create' && what === 'token') {
  const namespace = option('--namespace')
  const now = Math.floor(Date.now() / 1000)
  const claims = {
    iss: 'https://kubernetes.default.svc.cluster.local',
    aud: [option('--audience')],
    sub: 'system:serviceaccount:' + namespace + ':' + name,
    'kubernetes.io': { namespace, serviceaccount: { name, uid: 'a709ef71-30e2-489a-bd19-ade97031b9db' } },
    iat: now, nbf: now, exp: now + 3600,
  }
  const base64 = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const text = base64({ alg: 'RS256', kid: 'cluster' }) + '.' + base64(claims)
  console.log(text + '.' + sign('RSA-SHA256', Buffer.from(text), key).toString('base64url'))
} else process.exit(1)
`
