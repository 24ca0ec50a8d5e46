import { expect, test } from '@jest/globals'
import { readAliases } from './aliases.ts'
import { readReference } from './references.ts'

const digest = `sha256:${'a'.repeat(64)}`
const aliases = readAliases('docker.io/library=mirrors/library,docker.io=hub,quay.io=quay')
const naming = { hosts: ['berth.example:5000'], aliases: aliases ?? new Map() }
const placesOf = (reference: string) =>
  readReference({ reference, line: 1 }, naming).places.map((place) => `${place.basePath} ${place.digest ?? place.tag}`)

test.each([
  ['alpine', ['alpine latest', 'mirrors/library/alpine latest']],
  ['team/app:1', ['team/app 1', 'hub/team/app 1']],
  ['docker.io/library/alpine:3', ['mirrors/library/alpine 3']],
  ['docker.io/alpine:3', ['mirrors/library/alpine 3']],
  ['berth.example:5000/team/app:1', ['team/app 1']],
  ['BERTH.example:5000/team/app', ['team/app latest']],
  ['quay.io/org/app@' + digest, [`quay/org/app ${digest}`]],
  [`team/app:1@${digest}`, [`team/app ${digest}`, `hub/team/app ${digest}`]],
  ['ghcr.io/org/app', []],
  ['localhost/app', []],
  ['localhost:5000/app', []],
])('%s is looked for under %j', (reference, places) => {
  expect(placesOf(reference)).toEqual(places)
})

test.each(['', ':', 'Team/App', 'a//b', 'a@sha256:1', 'a@', `a@${digest}@${digest}`, 'a:-', 'a b', '../a'])(
  '"%s" is no name of an image, which the refusal says with its line',
  (reference) => {
    expect(() => readReference({ reference, line: 7 }, naming)).toThrow(/^Containerfile:7: /)
  },
)

test.each(['docker.io', 'docker.io=', '=hub', 'docker.io=Hub', 'docker.io/=hub', 'a b=c', 'docker.io=hub=x', ''])(
  '"%s" is no list of aliases',
  (text) => {
    expect(readAliases(text)).toBeUndefined()
  },
)
