import { get } from 'node:http'
import { closeServer, listen } from '@berth/service'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { warningOf } from './warning.ts'

let warning = ''
let server: Awaited<ReturnType<typeof listen>>
beforeAll(async () => {
  server = await listen((_, response) => response.writeHead(200, warningOf({ warning })).end(), {
    port: 0,
    host: '127.0.0.1',
  })
})
afterAll(() => closeServer(server.server, 0))

/** The header's bytes as a client gets them. */
function sent(text: string): Promise<string> {
  warning = text
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port: server.port }, (answer) => {
      answer.resume()
      resolve(Buffer.from(answer.headers.warning ?? '', 'latin1').toString())
    }).on('error', reject)
  })
}

test.each([
  ['end of life in March', '299 - "end of life in March"'],
  ['use "team/new" instead', '299 - "use \\"team/new\\" instead"'],
  ['a \\ and a \\"', '299 - "a \\\\ and a \\\\\\""'],
  ['läuft ab: 終了 🚢', '299 - "läuft ab: 終了 🚢"'],
])('%s reaches the client as a quoted string', async (text, header) => {
  expect(await sent(text)).toBe(header)
})

test('no text, no header', () => {
  expect(warningOf({ warning: null })).toEqual({})
})
