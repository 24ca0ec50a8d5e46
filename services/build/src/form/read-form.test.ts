import { AsyncLocalStorage } from 'node:async_hooks'
import type { IncomingMessage } from 'node:http'
import { PassThrough } from 'node:stream'
import { expect, test } from '@jest/globals'
import { readForm } from './read-form.ts'

test('what checks and keeps a form runs on behalf of its request, however the bytes come', async () => {
  const requests = new AsyncLocalStorage<string>()
  const body = new PassThrough()
  const request = Object.assign(body, { headers: { 'content-type': 'multipart/form-data; boundary=x' } })
  const seen: unknown[] = []
  const reading = requests.run('this one', () =>
    readForm(request as unknown as IncomingMessage, new AbortController().signal, {
      check: async () => void seen.push(requests.getStore()),
      keep: async (context) => {
        seen.push(requests.getStore())
        await context.resume().toArray()
      },
    }),
  )
  const part = (name: string, value: string, more = '') =>
    `--x\r\ncontent-disposition: form-data; name="${name}"${more}\r\n\r\n${value}\r\n`
  requests.run('another one', () => {
    body.write(part('repository', 'team/app') + part('tag', '1') + part('containerfile', 'FROM scratch'))
    body.end(`${part('context', 'bytes', '; filename="c.tar"')}--x--\r\n`)
  })
  await reading
  expect(seen).toEqual(['this one', 'this one'])
})
