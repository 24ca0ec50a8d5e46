import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, test } from '@jest/globals'
import { pushRandomImage } from '../berth/push.ts'
import { basic, make } from '../berth/requests.ts'
import { withBerth } from '../berth/with-berth.ts'
import { missingPrograms } from '../servers/programs.ts'

const text = 'end of life in March; "team/next" has what follows \\o/ – ade'

describe('the warning of a distribution', () => {
  const stack = withBerth()
  let digest = ''
  beforeAll(async () => {
    const target = { url: stack.url, authorization: basic(stack) }
    digest = (await pushRandomImage(target, 'team/old', 'latest')).digest
  }, 60_000)

  const change = async (warning: unknown) => stack.api('PATCH', '/distributions/team%2Fold', { warning })
  const warnedBy = async (method: string, path: string) => {
    const answer = await fetch(`${stack.url}/v2/team/old/${path}`, { method, headers: { authorization: basic(stack) } })
    await answer.arrayBuffer()
    expect(answer.status).toBe(200)
    return answer.headers.get('warning') && Buffer.from(answer.headers.get('warning') ?? '', 'latin1').toString()
  }
  const pulls = () => [
    ['GET', 'manifests/latest'],
    ['HEAD', 'manifests/latest'],
    ['GET', `manifests/${digest}`],
    ['HEAD', `manifests/${digest}`],
    ['GET', 'tags/list'],
  ]

  test('reaches everybody who pulls, at once, until it is taken away', async () => {
    for (const [method = '', path = ''] of pulls()) expect(await warnedBy(method, path)).toBeNull()
    expect(await change(text)).toMatchObject({ status: 200, body: { warning: text } })
    const header = '299 - "end of life in March; \\"team/next\\" has what follows \\\\o/ – ade"'
    for (const [method = '', path = ''] of pulls()) expect(await warnedBy(method, path)).toBe(header)
    // Another change leaves it alone.
    await stack.api('PATCH', '/distributions/team%2Fold', { access: 'public' })
    expect(await warnedBy('GET', 'manifests/latest')).toBe(header)
    expect(await change(null)).toMatchObject({ status: 200, body: { warning: null } })
    for (const [method = '', path = ''] of pulls()) expect(await warnedBy(method, path)).toBeNull()
  })

  test('can be given when the distribution is made', async () => {
    const made = await make(stack, '/distributions', {
      name: 'again',
      basePath: 'again',
      repository: 'team/old',
      warning: 'soon gone',
    })
    expect(made.warning).toBe('soon gone')
    const answer = await fetch(`${stack.url}/v2/again/tags/list`, { headers: { authorization: basic(stack) } })
    expect(answer.headers.get('warning')).toBe('299 - "soon gone"')
  })

  test.each([
    ['a line feed', 'one\nContent-Length: 0'],
    ['an escape of terminals', '\u001b[31mred'],
    ['text that runs backwards', '\u202eevil'],
    ['nothing', ''],
    ['201 characters', 'x'.repeat(201)],
    ['a number', 7],
  ])('is not %s', async (_name, warning) => {
    expect(await change(warning)).toMatchObject({ status: 400, body: { field: 'warning' } })
  })

  const testSkopeo = missingPrograms('skopeo').length === 0 ? test : test.skip
  testSkopeo('is no hindrance to skopeo', async () => {
    await change(text)
    const run = promisify(execFile)
    const args = ['inspect', '--tls-verify=false', '--creds', `${stack.user}:${stack.password}`]
    const { stdout } = await run('skopeo', [...args, `docker://${stack.host}/team/old:latest`])
    expect(JSON.parse(stdout).Digest).toBe(digest)
  })
})
