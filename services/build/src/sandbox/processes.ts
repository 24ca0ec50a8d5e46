import { readdir, readFile } from 'node:fs/promises'
import type { Usage } from './cgroups.ts'

/** The processes below one, itself among them; those that end meanwhile are left out. */
async function listTree(pid: number): Promise<number[]> {
  const found: number[] = []
  const waiting = [pid]
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    found.push(next)
    for (const thread of await readOr([], () => readdir(`/proc/${next}/task`))) {
      const children = await readOr('', () => readFile(`/proc/${next}/task/${thread}/children`, 'utf8'))
      waiting.push(...children.split(' ').filter(Boolean).map(Number))
    }
  }
  return found
}

/** The first process of the sandbox, with which all others in it end; `undefined` while it is not there. */
export async function findInit(pid: number): Promise<number | undefined> {
  for (const one of await listTree(pid)) {
    const status = await readOr('', () => readFile(`/proc/${one}/status`, 'utf8'))
    // Its number in its own namespace, behind that in ours (proc(5)).
    if (/^NSpid:\t\d+\t1$/m.test(status)) return one
  }
  return undefined
}

/** What the processes below one use, where no cgroup counts it. */
export async function countTree(pid: number): Promise<Usage> {
  const tree = await listTree(pid)
  const sizes = await Promise.all(
    tree.map(async (one) => {
      const status = await readOr('', () => readFile(`/proc/${one}/status`, 'utf8'))
      return Number(/^RssAnon:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) * 1024
    }),
  )
  return { processes: tree.length, anonBytes: sizes.reduce((sum, size) => sum + size, 0), refused: 0 }
}

/** The processes whose command line names something. */
export async function findByCommandLine(word: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const named = await Promise.all(
    pids.map(async (pid) => (await readOr('', () => readFile(`/proc/${pid}/cmdline`, 'utf8'))).includes(word)),
  )
  return pids.filter((_, at) => named[at]).map(Number)
}

/** When a process started, so that another one with its number is told from it. */
export async function startOf(pid: number): Promise<string | undefined> {
  const stat = await readOr('', () => readFile(`/proc/${pid}/stat`, 'utf8'))
  // The name in parentheses may hold blanks; the 22nd field of proc(5) is the 20th behind it.
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
}

/** A process may end between two looks at it. */
async function readOr<T>(otherwise: T, read: () => Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ESRCH') return otherwise
    throw error
  }
}
