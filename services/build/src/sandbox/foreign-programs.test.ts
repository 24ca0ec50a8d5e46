import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { findForeignArchitectures } from './foreign-programs.ts'

const header = (classes: string, machine: string) => `7f454c46${classes}010000000000000000000200${machine}`
let folder: string

/** As the kernel shows a handler. */
function handler(name: string, { state = 'enabled', flags = 'OCF', magic = '' }): Promise<void> {
  const text = `${state}\ninterpreter /usr/bin/qemu-${name}-static\nflags: ${flags}\noffset 0\nmagic ${magic}\nmask ffff\n`
  return writeFile(path.join(folder, `qemu-${name}`), text)
}

beforeAll(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), `berth-test-${process.pid}-binfmt-`))
  await writeFile(path.join(folder, 'register'), '')
  await writeFile(path.join(folder, 'status'), 'enabled\n')
  await handler('aarch64', { magic: header('0201', 'b700') })
  await handler('s390x', { magic: header('0202', '0016') })
  await handler('arm', { magic: header('0101', '2800'), flags: 'OC' })
  await handler('riscv64', { magic: header('0201', 'f300'), state: 'disabled' })
  await handler('mips', { magic: header('0102', '0008') })
  await writeFile(path.join(folder, 'jar'), 'enabled\ninterpreter /usr/bin/jexec\nflags: F\nextension .jar\n')
})
afterAll(() => rm(folder, { recursive: true }))

test('programs of an architecture run here where a handler is enabled that a build can reach too', async () => {
  expect([...(await findForeignArchitectures(folder))].sort()).toEqual(['arm64', 's390x'])
})

test('without handlers no foreign programs run', async () => {
  expect([...(await findForeignArchitectures(path.join(folder, 'nowhere')))]).toEqual([])
})
