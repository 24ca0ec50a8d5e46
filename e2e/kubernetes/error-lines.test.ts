import { expect, test } from '@jest/globals'
import { unexplained } from './error-lines.ts'

const at = (second: number) => new Date(Date.UTC(2026, 0, 1, 0, 0, second))
const line = (message: string, second: number, more = {}) =>
  `[pod/hub-berth-catalog-1/catalog] ${JSON.stringify({ level: 'error', message, timestamp: at(second).toISOString(), ...more })}`
const denied = 'nats does not let do what is needed'

test('what NATS does not let do is an error once NATS has started again, and a failure that nobody foresaw always is', () => {
  const stack = { error: { name: 'Error', message: 'x', stack: 'Error: x' } }
  const unforeseen = [line(denied, 10), line('registry request failed', 1, stack), line('something else', 1)]
  const meant = [
    line(denied, 9),
    line('registry request failed', 1, { error: { name: 'CommandError', message: 'catalog does not answer' } }),
    '[pod/x/nats] [7] [ERR] no JSON',
    '[pod/x/auth] {"level":"info","message":"ready"}',
    '',
  ]
  expect(unexplained([...meant, ...unforeseen].join('\n'), at(10))).toEqual(unforeseen)
})
