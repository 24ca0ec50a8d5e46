import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from '@jest/globals'
import { missingPrograms } from '../servers/programs.ts'
import { makeTemporaryFolder, removeFolder } from '../servers/temporary-folder.ts'

const missing = missingPrograms('systemd-analyze')
const maybe = missing.length > 0 ? test.skip : test

maybe(
  `systemd takes the unit of deploy/systemd without a word${missing.length > 0 ? ' (systemd-analyze not installed)' : ''}`,
  () => {
    const unit = readFileSync(new URL('../../deploy/systemd/berth.service', import.meta.url), 'utf8')
    const folder = makeTemporaryFolder('systemd')
    try {
      const file = path.join(folder, 'berth.service')
      // The program must be there, and this one's is not everywhere at the same place.
      writeFileSync(file, unit.replace('/usr/bin/node', process.execPath))
      const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', file], { encoding: 'utf8' })
      expect([status, stdout, stderr]).toEqual([0, '', ''])
    } finally {
      removeFolder(folder)
    }
  },
)
