import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** Who builds: an account with subordinate ids. `switches`: we are root and become it; else it is ourselves. */
export type Account = { name: string; uid: number; gid: number; switches: boolean }

const leastIds = 65_536

/** The account that builds run as, or what is missing and the commands that mend it. */
export async function findAccount(user: string | undefined): Promise<{ account: Account } | { missing: string }> {
  const isRoot = process.getuid?.() === 0
  if (isRoot && user === undefined)
    return {
      missing: `BERTH_BUILD_USER is not set, and builds never run as root: ${commandsFor('berth-build', true)}; then set BERTH_BUILD_USER=berth-build`,
    }
  const account = await lookUpAccount(user)
  if (!account)
    return {
      missing: `there is no account ${user ?? String(process.getuid?.())}: ${commandsFor(user ?? 'berth-build', true)}`,
    }
  if (account.uid === 0) return { missing: 'BERTH_BUILD_USER is root: name an account without rights, as berth-build' }
  if (!isRoot && account.uid !== process.getuid?.())
    return {
      missing: `BERTH_BUILD_USER is ${account.name}, and only root can become another account: leave it away, or start the service as root`,
    }
  for (const kind of ['subuid', 'subgid'] as const) {
    if ((await countIds(`/etc/${kind}`, account)) < leastIds)
      return {
        missing: `${account.name} has fewer than ${leastIds} ids in /etc/${kind}: ${commandsFor(account.name, false)}`,
      }
  }
  return { account: { ...account, switches: isRoot } }
}

/** What gives an account its subordinate ids. */
function commandsFor(name: string, isNew: boolean): string {
  const make = isNew ? `useradd --system --shell /usr/sbin/nologin ${name} && ` : ''
  return `${make}usermod --add-subuids 200000-265535 --add-subgids 200000-265535 ${name} (another range where that one is taken)`
}

async function lookUpAccount(user: string | undefined): Promise<Omit<Account, 'switches'> | undefined> {
  const key = user ?? String(process.getuid?.())
  try {
    const { stdout } = await run('getent', ['passwd', key])
    const [name = '', , uid, gid] = stdout.trim().split(':')
    return { name, uid: Number(uid), gid: Number(gid) }
  } catch (error) {
    // 2: there is no such account (getent(1)).
    if ((error as { code?: unknown }).code === 2) return undefined
    throw error
  }
}

async function countIds(file: string, { name, uid }: { name: string; uid: number }): Promise<number> {
  const lines = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return ''
    throw error
  })
  const counts = lines.split('\n').flatMap((line) => {
    const [owner, , count] = line.split(':')
    return owner === name || owner === String(uid) ? [Number(count) || 0] : []
  })
  return Math.max(0, ...counts)
}
