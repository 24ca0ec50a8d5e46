import { expect, test } from '@jest/globals'
import { BadOn, formatOn, parseOn } from './on.ts'

test.each([
  ['*', { all: true }],
  ['team/*', { prefix: 'team/' }],
  ['team/sub/*', { prefix: 'team/sub/' }],
  ['repository:team/app', { kind: 'repository', name: 'team/app' }],
  ['namespace:team', { kind: 'namespace', name: 'team' }],
  ['distribution:docker.io:5000/a', { kind: 'distribution', name: 'docker.io:5000/a' }],
])('%s says what a grant is on, and is written as it is read', (text, on) => {
  expect(parseOn(text)).toEqual(on)
  expect(formatOn(parseOn(text))).toBe(text)
})

test.each([
  ['', 0],
  ['team', 0],
  ['team*', 4],
  ['te?m/*', 2],
  ['*/app', 0],
  ['/*', 0],
  ['repository:', 11],
  ['repository:team/*', 16],
  ['unknown:a', 0],
  ['{a,b}/*', 0],
])('%j is refused, and the place is named', (text, position) => {
  expect(() => parseOn(text)).toThrow(BadOn)
  expect(() => parseOn(text)).toThrow(new RegExp(`at position ${position}$`))
})
