import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { padding, type TarHeader, tarEnd, writeHeader } from '../context/tar-header.ts'
import { createTimeClamp } from './clamp-times.ts'

const latest = 1_000_000_000
const file = { type: '0', mode: 0o644, size: 0, mtime: 0, linkName: '' }

function clampAll(tar: Buffer, chunkBytes = tar.length, limit = latest): Buffer {
  const clamp = createTimeClamp(limit)
  const out: Buffer[] = []
  // Chunks are changed where they lie.
  for (let at = 0; at < tar.length; at += chunkBytes)
    out.push(...clamp.push(Buffer.from(tar.subarray(at, at + chunkBytes))))
  clamp.end()
  return Buffer.concat(out)
}

function entry({
  content = Buffer.alloc(0),
  ...header
}: Partial<TarHeader> & { name: string; content?: Buffer }): Buffer {
  return Buffer.concat([writeHeader({ ...file, size: content.length, ...header }), content, padding(content.length)])
}

const extended = (text: string, type = 'x') => entry({ name: 'pax', type, content: Buffer.from(text, 'latin1') })

function record(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`
  const digits = [1, 2, 3, 4].find((count) => String(rest.length + count).length === count) ?? 0
  return `${rest.length + digits}${rest}`
}

describe('times of a tar', () => {
  let folder: string
  const run = (program: string, args: string[], input?: Buffer) =>
    execFileSync(program, args, {
      cwd: folder,
      maxBuffer: 64 << 20,
      env: { ...process.env, TZ: 'UTC', LC_ALL: 'C' },
      input,
    })
  const shell = (script: string) => run('sh', ['-c', script]).toString()
  const pack = (format: string) =>
    run('tar', [
      ...format.split(' '),
      // Its default has the number of the process in it.
      ...(format.includes('pax') ? ['--pax-option=exthdr.name=%d/x/%f'] : []),
      '--sort=name',
      '-c',
      '-C',
      'in',
      '.',
    ])
  const list = (tar: Buffer) =>
    run('tar', ['-tv', '--full-time', '--numeric-owner'], tar)
      .toString()
      .replaceAll(/ +\.\//g, ' ./')

  beforeAll(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'berth-times-'))
    mkdirSync(path.join(folder, 'in', 'd'.repeat(90), 'e'.repeat(90)), { recursive: true })
    writeFileSync(path.join(folder, 'in', 'ü'.repeat(120)), 'long name')
    writeFileSync(path.join(folder, 'in', 'd'.repeat(90), 'e'.repeat(90), 'deep'), Buffer.alloc(3000, 'deep'))
    shell(`cd in; echo one > one; ln one two; ln -s nowhere/${'f'.repeat(120)} link; : > .wh.gone; mkfifo pipe
      for n in 0 1 2 3 4 5 6 7; do printf "$n" | dd of=sparse bs=1 seek=$((n * 30000)) conv=notrunc 2>/dev/null; done
      echo old > old; chmod 4755 old`)
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  const touch = (when: string) => shell(`find in -exec touch -h -d @${when} {} +; touch -d @999999999 in/old`)

  test.each([
    '--format=ustar --exclude=üüüü* --exclude=link',
    '--format=gnu',
    // It has the times too at which files were read and changed.
    '--format=gnu --incremental',
    '--format=gnu --sparse',
    '--format=pax',
    '--format=pax --sparse --sparse-version=0.0',
    '--format=pax --sparse --sparse-version=0.1',
    '--format=pax --sparse --sparse-version=1.0',
    '--format=v7 --exclude=üüüü* --exclude=ddd* --exclude=link --exclude=pipe',
  ])('that are later become the latest, and nothing else changes, wherever chunks end (%s)', (format) => {
    const listed = ['1764500000.75', '1764599999.25'].map((when) => {
      touch(when)
      const tar = pack(format)
      const clamped = clampAll(tar)
      for (const bytes of [1, 511, 512, 513, 1000, 65_536])
        if (!clampAll(tar, bytes).equals(clamped)) throw new Error(`in chunks of ${bytes}`)
      expect(clampAll(clamped).equals(clamped)).toBe(true)
      expect(clamped.toString('latin1')).not.toMatch(/[amc]time=17/)
      expect(list(clamped)).toBe(list(tar).replaceAll(/2025-1[12]-\d\d \d\d:\d\d:\d\d(\.\d+)?/g, '2001-09-09 01:46:40'))
      expect(list(clamped)).toMatch(/2001-09-09 01:46:39 \.\/old/)
      rmSync(path.join(folder, 'out'), { recursive: true, force: true })
      mkdirSync(path.join(folder, 'out'))
      if (!format.includes('v7') && !format.includes('ustar')) {
        run('tar', ['-x', '-C', 'out'], clamped)
        expect(shell('rm in/pipe out/pipe; diff -r --no-dereference in out; mkfifo in/pipe')).toBe('')
        expect(shell('stat -c %h out/one out/two')).toBe('2\n2\n')
      }
      return clamped
    })
    // GNU tar gives such files names with the number of its process.
    if (format.startsWith('--format=pax --sparse')) return
    expect(listed[1]?.equals(listed[0] ?? Buffer.alloc(0))).toBe(true)
  })

  test('before 1970 stay, and those that only base 256 can say become the latest', () => {
    for (const format of ['--format=gnu', '--format=pax']) {
      touch('1764500000')
      shell('touch -d @-5 in/one; touch -d @12000000000 in/sparse; touch -h -d @8589934591 in/link')
      const listing = list(clampAll(pack(format)))
      expect(listing).toMatch(/1969-12-31 23:59:55 \.\/one/)
      expect(listing).toMatch(/2001-09-09 01:46:40 \.\/sparse/)
      expect(listing).toMatch(/2001-09-09 01:46:40 \.\/link/)
      expect(list(clampAll(pack(format), 512, 11_000_000_000))).toMatch(/2318-\d\d-\d\d \d\d:\d\d:\d\d \.\/sparse/)
    }
  })
})

test('other records of an extended header stay as they are, and its length is that of what it says now', () => {
  const attribute = record('SCHILY.xattr.user.a', `x=\n\0${record('mtime', '1764500000')}`)
  const before = `${record('mtime', '1764500000.123456789')}${attribute}${record('atime', '1764500000.5')}`
  const after = `${record('mtime', '1000000000')}${attribute}${record('atime', '1000000000')}`
  const tarOf = (text: string, type?: string) => Buffer.concat([extended(text, type), entry({ name: 'a' }), tarEnd])
  expect(clampAll(tarOf(before)).equals(tarOf(after))).toBe(true)
  expect(
    clampAll(tarOf(record('ctime', '1000000000.001'), 'g')).equals(tarOf(record('ctime', '1000000000'), 'g')),
  ).toBe(true)
  const kept = tarOf([record('mtime', '12.25'), record('atime', ''), record('ctime', '-3.5')].join(''))
  expect(clampAll(kept).equals(kept)).toBe(true)
})

test('the size in an extended header counts, and what looks like a header in a file is left alone', () => {
  const inner = entry({ name: 'inner', mtime: 1_764_500_000 })
  const content = Buffer.concat([inner, inner])
  const header = writeHeader({ ...file, name: 'a', size: 0 })
  const tar = Buffer.concat([extended(record('size', '1024')), header, content, tarEnd])
  expect(clampAll(tar, 100).equals(tar)).toBe(true)
})

test('a tar that is cut anywhere is refused', () => {
  const tar = Buffer.concat([
    extended(record('mtime', '1764500000.5')),
    entry({ name: 'n'.repeat(150), content: Buffer.alloc(1500, 1) }),
    entry({ name: 'b' }),
  ])
  for (let bytes = 0; bytes <= tar.length; bytes += 100)
    expect(() => clampAll(tar.subarray(0, bytes), 333)).toThrow('breaks off')
  expect(() => clampAll(tar)).toThrow('breaks off')
  expect(clampAll(Buffer.concat([tar, tarEnd]))).toHaveLength(tar.length + tarEnd.length)
})

test.each<[string, Buffer, string]>([
  ['text', Buffer.from('no tar'.repeat(200)), 'checksum'],
  ['a flood of attributes', extended('a'.repeat(2 << 20)), 'more than 1048576 bytes'],
  ['an extended header without lengths', extended('mtime=1\n'), 'extended header cannot be read'],
  ['a length that leaves its header', extended('99 mtime=1\n'), 'extended header cannot be read'],
  ['a record without an end', extended('10 mtime=1'), 'extended header cannot be read'],
  ['a record without a key', extended('10 mtime.\n'), 'extended header cannot be read'],
  ['a time that is none', extended(record('mtime', 'today')), 'time that cannot be read'],
  ['one size for all', extended(record('size', '1'), 'g'), 'one size'],
  ['an impossible size', Buffer.concat([extended(record('size', '-1')), entry({ name: 'a' })]), 'impossible size'],
  ['a folder with content', entry({ name: 'a/', type: '5', content: Buffer.alloc(9) }), 'with content'],
])('%s is refused', (_, tar, message) => {
  expect(() => clampAll(Buffer.concat([tar, tarEnd]))).toThrow(message)
})

test('many bytes go through in little memory', () => {
  const size = 4 * 2 ** 30
  const clamp = createTimeClamp(latest)
  const chunk = Buffer.alloc(1 << 20)
  clamp.push(writeHeader({ ...file, name: 'a', size }))
  const before = process.memoryUsage().arrayBuffers
  for (let left = size; left > 0; left -= chunk.length) clamp.push(chunk)
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 << 20)
  clamp.push(tarEnd)
  clamp.end()
})
