import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'

const handlersFolder = '/proc/sys/fs/binfmt_misc'

// The machines of ELF headers (e_machine) by the architectures that images name; in the byte order of their programs.
const machines: Readonly<Record<string, string>> = {
  b700: 'arm64',
  '2800': 'arm',
  '0300': '386',
  '3e00': 'amd64',
  '1500': 'ppc64le',
  '0016': 's390x',
  f300: 'riscv64',
}
const elf = '7f454c46'
/** Where the machine stands in an ELF header, in hexadecimal digits. */
const machineAt = 36

/**
 * The architectures whose programs this machine runs by handlers that it was given (binfmt_misc, kernel documentation). Only those
 * that were opened when they were registered (flag F) count: of others the interpreter is looked for inside of a build, where it is not.
 */
export async function findForeignArchitectures(folder: string = handlersFolder): Promise<ReadonlySet<string>> {
  const found = new Set<string>()
  for (const name of await namesIn(folder)) {
    if (name === 'register' || name === 'status') continue
    const text = await readFile(path.join(folder, name), 'latin1')
    const [, flags = ''] = /^flags: (\w*)$/m.exec(text) ?? []
    const [, magic = ''] = /^magic ([0-9a-f]+)$/m.exec(text) ?? []
    const architecture = magic.startsWith(elf) ? machines[magic.slice(machineAt, machineAt + 4)] : undefined
    if (text.startsWith('enabled') && flags.includes('F') && architecture !== undefined) found.add(architecture)
  }
  return found
}

/** Handlers are nowhere to be seen where nothing has mounted them: then there are none. */
async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    if (['ENOENT', 'EACCES'].includes((error as NodeJS.ErrnoException).code ?? '')) return []
    throw error
  }
}
