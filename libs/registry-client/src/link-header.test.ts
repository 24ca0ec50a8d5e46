import { expect, test } from '@jest/globals'
import { nextOf } from './link-header.ts'

test.each([
  ['</v2/a/tags/list?last=b&n=1>; rel="next"'],
  ['</v2/a/tags/list?last=b&n=1>; rel=next'],
  ['</v2/a/tags/list?last=b&n=1>;rel="next"'],
  ['</v2/a/tags/list?last=b&n=1> ; REL = "NEXT"'],
  ['</v2/a/tags/list?last=b&n=1>; rel="last next"'],
  ['</v2/a/tags/list?last=b&n=1>; title="a, b; rel=prev"; rel="next"'],
  ['</v2/a/tags/list?last=b&n=1>; title="a \\"quoted\\" <word>"; rel=next; type="application/json"'],
  ['</first>; rel=first, </v2/a/tags/list?last=b&n=1>; rel="next", </other>; rel="next"'],
  ['</v2/a/tags/list?last=b&n=1>;; rel="next";'],
  ['</v2/a/tags/list?last=b&n=1>; rel="next"; rel="prev"'],
  [', </v2/a/tags/list?last=b&n=1>; hreflang; rel="ne\\xt"'],
])('%s leads to the next page', (header) => expect(nextOf(header)).toBe('/v2/a/tags/list?last=b&n=1'))

test.each([
  [''],
  ['/v2/a?last=b; rel="next"'],
  ['</a>'],
  ['</a>; rel="nextpage"'],
  ['</a>; rel="prev"; rel="next"'],
  ['<'],
])('%j leads nowhere', (header) => expect(nextOf(header)).toBeUndefined())
