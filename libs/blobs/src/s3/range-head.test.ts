import { expect, test } from '@jest/globals'
import { parseRangeHead } from './range-head.ts'

const head = (...lines: string[]) => ['HTTP/1.1 206 Partial Content', ...lines].join('\r\n')
const range = 'Content-Range: bytes 5-14/20'

test('the head of a plain range says which bytes come, of how many', () => {
  const plain = head('Vary: Origin', range, 'Vary: Accept-Encoding', 'Content-Length: 10', 'x-amz-id-2:')
  expect(parseRangeHead(plain)).toEqual({ start: 5, sizeBytes: 10, totalBytes: 20, staysOpen: true })
  const upper = head(range.toUpperCase().replace('BYTES', 'bytes'), 'CONTENT-LENGTH:10', 'Connection: Close')
  expect(parseRangeHead(upper)).toMatchObject({ sizeBytes: 10, staysOpen: false })
})

test.each([
  ['another status', head(range, 'Content-Length: 10').replace('206 Partial Content', '200 OK')],
  ['an older HTTP', head(range, 'Content-Length: 10').replace('1.1', '1.0')],
  ['chunks', head(range, 'Content-Length: 10', 'Transfer-Encoding: chunked')],
  ['no length', head(range)],
  ['another length than the range', head(range, 'Content-Length: 11')],
  ['two lengths', head(range, 'Content-Length: 10', 'Content-Length: 11')],
  ['twice the same length', head(range, 'Content-Length: 10', 'Content-Length: 10')],
  ['a length that is no number', head(range, 'Content-Length: 10x')],
  ['no range', head('Content-Length: 10')],
  ['two ranges', head(range, range, 'Content-Length: 10')],
  ['a range of an unknown whole', head('Content-Range: bytes 5-14/*', 'Content-Length: 10')],
  ['a range beyond the whole', head('Content-Range: bytes 5-20/20', 'Content-Length: 16')],
  ['a range that ends before it starts', head('Content-Range: bytes 5-4/20', 'Content-Length: 0')],
  ['several ranges', head('Content-Type: multipart/byteranges; boundary=x', 'Content-Length: 10')],
  ['a folded line', head(range, 'Content-Length: 10', ' 11')],
  ['a line without a name', head(range, 'Content-Length: 10', 'what is this')],
  ['nothing', ''],
])('%s is left to a client that knows all of HTTP', (_what, text) => {
  expect(parseRangeHead(text)).toBeUndefined()
})
