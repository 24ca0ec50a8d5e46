import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { freePort } from '@berth/standalone/children'
import { publicRoutes } from '@berth/standalone/origin'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { pushRandomImage } from '../berth/push.ts'
import { basic, getManifest } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'
import { startSkopeo } from '../clients/skopeo.ts'
import { findProgram, missingPrograms } from '../servers/programs.ts'
import { answers, type ServerProcess, startServerProcess } from '../servers/server-process.ts'

const page = readFileSync(new URL('../../docs/how-to/behind-a-proxy.md', import.meta.url), 'utf8')
const missing = missingPrograms('nginx', 'skopeo')
const withNginx = missing.length > 0 ? describe.skip : describe

test('the page says of each path which service answers it', () => {
  const rows = [...page.matchAll(/^\| `(\/[^`]+)` \| (\w+) \|$/gm)].map(([, prefix, service]) => [prefix, service])
  expect(rows).toEqual(publicRoutes.map((route) => [...route]))
})

withNginx(
  `behind nginx as the page has it${missing.length > 0 ? ` (not installed: ${missing.join(', ')})` : ''}`,
  () => {
    let nginx: ServerProcess
    let port: number
    let url: string
    const stack = withBerth(async () => {
      port = await freePort()
      url = `http://localhost:${port}`
      return { own: true, env: { BERTH_EXTERNAL_URL: url } }
    })

    beforeAll(async () => {
      const text = /^```nginx conf\n([\s\S]*?)^```$/m.exec(page)?.[1] ?? ''
      const server = text.replace('8443', `127.0.0.1:${port}`).replace('127.0.0.1:8080', `127.0.0.1:${stack.port}`)
      nginx = await startServerProcess({
        name: 'nginx',
        program: findProgram('nginx') as string,
        args: (folder) => {
          const places = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
            (one) => `${one}_temp_path ${folder}/${one};`,
          )
          const http = `http { access_log off; ${places.join(' ')} ${server} }`
          const file = path.join(folder, 'nginx.conf')
          writeFileSync(file, `daemon off; pid ${folder}/pid; error_log stderr; events {} ${http}`)
          return ['-c', file, '-p', folder]
        },
        isReady: () => answers(`${url}/healthz`, 200),
      })
    }, 60_000)
    afterAll(async () => {
      await nginx?.stop()
    }, 30_000)

    test('clients push layers of many megabytes and pull them again', async () => {
      const { digest } = await pushRandomImage(
        { url, authorization: basic(stack) },
        'proxied/app',
        'v1',
        [20_000_000, 3_000],
      )
      expect((await getManifest(`${url}/v2/proxied/app/manifests/v1`, stack)).digest).toBe(digest)
      const skopeo = startSkopeo()
      try {
        const host = new URL(url).host
        await skopeo.login(host, { user: stack.user, password: stack.password })
        expect(await skopeo.pull(`${host}/proxied/app:v1`)).toMatch(/^sha256:/)
      } finally {
        await skopeo.stop()
      }
    }, 60_000)

    test('clients are sent to log in where they came from', async () => {
      const answer = await fetch(`${url}/v2/proxied/app/manifests/v1`)
      expect(answer.headers.get('www-authenticate')).toContain(`realm="${url}/token"`)
    })

    test('failed logins of one client are not those of another that comes by the same proxy', async () => {
      const login = async (client: string) => {
        const headers = { authorization: `Basic ${btoa('somebody:a wrong password')}`, 'x-forwarded-for': client }
        return (await fetch(`${url}/api/v1/me`, { headers })).status
      }
      const guesses = []
      for (let tries = 0; tries < 12; tries++) guesses.push(await login('198.51.100.1'))
      expect(guesses.at(-1)).toBe(429)
      expect(await login('203.0.113.7')).toBe(401)
    })

    test('what is for operators stays inside', async () => {
      expect((await fetch(`${url}/metrics`)).status).toBe(404)
      expect((await fetch(`${url}/readyz`)).status).toBe(200)
    })
  },
)
