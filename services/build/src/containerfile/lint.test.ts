import { describe, expect, test } from '@jest/globals'
import { lintContainerfile } from './lint.ts'
import { ownPlatform } from './platforms.ts'

const foreign = ownPlatform === 'linux/arm64' ? 'linux/amd64' : 'linux/arm64'

function imagesOf(text: string, options = {}): string[] {
  return lintContainerfile(text, options).images.map(({ reference, line }) => `${line} ${reference}`)
}

function refusalOf(text: string, options = {}): unknown {
  try {
    return lintContainerfile(text, options)
  } catch (error) {
    return error
  }
}

describe('every image that a Containerfile names is found, with its line', () => {
  test.each<[string, string, object, string[]]>([
    ['none', 'FROM scratch\nCOPY a /', {}, []],
    ['FROM', '# a comment\n\nFROM team/app:1 AS one\nFROM one\n', {}, ['3 team/app:1']],
    [
      'a stage in other letters',
      'FROM a AS Build\nFROM b\nCOPY --from=BUILD /a /b\nCOPY --from=0 /a /c',
      {},
      ['1 a', '2 b'],
    ],
    ['a default of ARG', 'ARG V=1.2\nFROM app:$V', {}, ['2 app:1.2']],
    ['a build argument', 'ARG V=1.2\nFROM app:${V}-slim', { buildArgs: new Map([['V', '2']]) }, ['2 app:2-slim']],
    ['an undeclared build argument', 'FROM app:${V:-3}', { buildArgs: new Map([['V', '2']]) }, ['1 app:3']],
    ['an ARG of an ARG', 'ARG A=x B="$A/y z"\nARG C=${B:+set}\nFROM $A-$C', {}, ['3 x-set']],
    ['an alternative in an alternative', 'FROM ${A:-${B:-c}}', {}, ['1 c']],
    ['single quotes', "ARG A='$B'\nFROM x${A:+y}", {}, ['2 xy']],
    [
      'COPY --from',
      'FROM scratch\nCOPY --chown=1 --from=reg.example:5000/a/b@sha256:00 /a /b',
      {},
      ['2 reg.example:5000/a/b@sha256:00'],
    ],
    [
      'RUN --mount',
      'FROM scratch\nRUN --mount=type=bind,from=tools:1,target=/t \\\n  --mount=type=cache,target=/c x',
      {},
      ['2 tools:1'],
    ],
    [
      'platforms',
      'FROM app-$TARGETARCH',
      { platforms: ['linux/amd64', 'linux/arm64'] },
      ['1 app-amd64', '1 app-arm64'],
    ],
    ['a stage after the target', 'FROM a AS one\nFROM b AS two', { target: 'one' }, ['1 a']],
    ['text in a heredoc', 'FROM a\nCOPY <<END /x\nFROM b\nEND\n', {}, ['1 a']],
    ['an escape', '# escape=`\nFROM a`\nb', {}, ['2 ab']],
    [
      'a trigger of a base',
      'FROM b AS x\nFROM a',
      { triggers: new Map([['a', ['COPY --from=x /a /b', 'COPY --from=c /a /b']]]) },
      ['1 b', '2 a', '2 c'],
    ],
  ])('%s', (_, text, options, images) => {
    expect(imagesOf(text, options)).toEqual(images)
  })

  test('those that are needed for other platforms are told apart', () => {
    const text = 'FROM --platform=$BUILDPLATFORM tools AS t\nRUN x\nFROM app\nCOPY --from=t /x /x'
    expect(lintContainerfile(text, { platforms: [foreign] }).images).toEqual([
      { reference: 'tools', line: 1, platforms: [ownPlatform], isBase: true },
      { reference: 'app', line: 3, platforms: [foreign], isBase: true },
    ])
  })
})

describe('a Containerfile is refused with the line and a remedy', () => {
  test.each<[string, string, object, number, RegExp]>([
    ['nothing', '', {}, 1, /there is no FROM/],
    ['comments alone', '# FROM a\n', {}, 1, /there is no FROM/],
    ['an unknown instruction', 'FROM a\n\nRNU x', {}, 3, /no instruction RNU/],
    ['an instruction before FROM', 'RUN a\nFROM a', {}, 1, /RUN comes before FROM/],
    ['FROM without an image', 'FROM', {}, 1, /names no image/],
    ['FROM with more words', 'FROM a b', {}, 1, /mean nothing/],
    ['a bad name of a stage', 'FROM a AS 1x', {}, 1, /no name of a stage/],
    ['an ARG without a value', 'ARG V\nFROM $V', {}, 2, /\$V is empty/],
    ['a required ARG', 'FROM a:${V:?give-it}', {}, 1, /V is not set: give-it/],
    ['an ARG of a stage in FROM', 'FROM a\nARG V=1\nFROM $V', {}, 3, /is empty/],
    ['a variable that is not closed', 'FROM ${A', {}, 1, /not closed/],
    ['an unknown target', 'FROM a AS one\nFROM b', { target: 'two' }, 1, /no stage two/],
    ['a number of no stage', 'FROM a\nCOPY --from=1 /a /b', {}, 2, /no stage 1 before/],
    ['itself as a source', 'FROM a AS x\nCOPY --from=x /a /b', {}, 2, /no stage x before/],
    ['a misspelled stage', 'FROM a AS builder\nFROM b\nCOPY --from=bilder /a /b', {}, 3, /no stage bilder/],
    ['a variable as a source', 'FROM a\nCOPY --from=$X /a /b', {}, 2, /plain name/],
    ['a frontend', '# syntax=evil/frontend\nFROM a', {}, 1, /frontend/],
    ['a frontend after other comments', '#!/usr/bin/x\n# check=skip=all\n#   SYNTAX = a\nFROM a', {}, 3, /frontend/],
    ['a frontend in a comment of C', '//syntax=evil\nFROM a', {}, 1, /frontend/],
    ['a frontend in JSON', '{"syntax": "evil"}\nFROM a', {}, 1, /frontend/],
    ['a frontend behind a byte order mark', '\uFEFF# syntax=evil\nFROM a', {}, 1, /frontend/],
    ['a frontend as an argument', 'FROM a', { buildArgs: new Map([['BUILDKIT_SYNTAX', 'x']]) }, 1, /BUILDKIT_SYNTAX/],
    ['ADD of a URL', 'FROM a\nADD https://example.org/x /x', {}, 2, /needs the network/],
    ['ADD of a URL in JSON', 'FROM a\nADD ["http://example.org/x", "/x"]', {}, 2, /needs the network/],
    ['ADD of a URL in an ARG', 'FROM a\nARG U=https://example.org\nADD $U/x /x', {}, 3, /needs the network/],
    ['ADD of git', 'FROM a\nADD git@example.org:a/b.git#v1 /x', {}, 2, /needs the network/],
    ['a step of a foreign platform', 'FROM a\nRUN x', { platforms: [foreign] }, 2, /do not run on this machine/],
    ['a step without a sandbox', 'FROM a\nRUN --security=insecure x', {}, 2, /not allowed/],
    ['a step on the network of the host', 'FROM a\nRUN --network=host x', {}, 2, /not allowed/],
    ['too many bytes', `FROM a\n#${'x'.repeat(300_000)}`, {}, 1, /262144 bytes/],
    ['too many lines', '\n'.repeat(30_000), {}, 1, /20000 lines/],
    ['too many instructions', `FROM a\n${'RUN x\n'.repeat(2500)}`, {}, 1, /2000 instructions/],
    ['too many words', `FROM a\nENV ${'a=b '.repeat(6000)}`, {}, 2, /5000 words/],
    ['a variable that grows', `ARG A=${'x'.repeat(9000)}\nARG B=$A$A\nFROM $B`, {}, 2, /16384 characters/],
    ['variables too deep', `FROM ${'${a:-'.repeat(100)}${'}'.repeat(100)}`, {}, 1, /nested/],
  ])('%s', (_, text, options, line, message) => {
    expect(refusalOf(text, options)).toMatchObject({
      status: 400,
      code: 'containerfile_refused',
      message: expect.stringMatching(message),
      options: { field: 'containerfile', hint: expect.stringMatching(/\S/), more: { line } },
    })
  })

  test('all faults are told at once', () => {
    expect(refusalOf('FROM a\nRNU x\nFORM b')).toMatchObject({
      message: expect.stringContaining('(and 1 more)'),
      options: { more: { faults: [{ line: 2 }, { line: 3 }] } },
    })
  })

  test('ADD of a URL is let through with egress', () => {
    expect(imagesOf('FROM a\nADD https://example.org/x /x', { network: 'egress' })).toEqual(['1 a'])
  })

  test.each(['FROM a\n', 'RUN a \\\n', 'RUN <<A\n', 'ARG a=b \\\n', '"', '${a:-', '[', '\\', '#syntax\n', '--from=a '])(
    'one that is nothing but %j is answered in time',
    (text) => {
      const start = performance.now()
      refusalOf(`FROM a\nARG ${text.repeat(Math.floor(262_000 / text.length))}`)
      refusalOf(text.repeat(Math.floor(262_000 / text.length)))
      expect(performance.now() - start).toBeLessThan(5_000)
    },
  )
})
