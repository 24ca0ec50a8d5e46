import path from 'node:path'
import { parseArgs } from 'node:util'
import { blobSettings, openBlobStore } from '@berth/blobs'
import {
  databaseSettings,
  optionalText,
  optionalUrl,
  readConfig,
  StartupError,
  withDatabasePassword,
} from '@berth/service'
import { lockFolder } from '@berth/standalone/children'
import { makeBackup, prune } from './backup.ts'
import { findDamage } from './copy-blobs.ts'
import { giveTo, ownerOf } from './owner.ts'
import { type Backup, findBackup, listBackups, placeAt, readList, secretsFile } from './place.ts'
import { restore } from './restore.ts'

const usage = 'berth-backup FOLDER [--keep N], or berth-restore FOLDER [NAME] [--list | --verify | --blobs-only]'

/** The settings of the Berth that is backed up or restored, as far as they say where it keeps what it has. */
function readInstallation() {
  const settings = {
    ...databaseSettings,
    databaseUrl: optionalUrl('BERTH_DATABASE_URL', ['postgres', 'postgresql']),
    ...blobSettings,
    home: optionalText('BERTH_HOME'),
  }
  const read = withDatabasePassword(readConfig(settings, process.env))
  const blobsDirectory = read.blobsDirectory ?? (read.home && path.join(read.home, 'blobs'))
  return { ...read, ...(blobsDirectory ? { blobsDirectory } : {}) }
}

function requireDatabase(databaseUrl: string | undefined): string {
  if (databaseUrl !== undefined) return databaseUrl
  throw new StartupError(
    'BERTH_DATABASE_URL is not set',
    'set it to that of Berth; of the embedded PostgreSQL the files are copied (docs/how-to/backup.md)',
  )
}

/** A backup that removes old ones must not run beside one that counts on their blobs. */
function lockPlace(folder: string): { release(): void } {
  return lockFolder(folder, {
    taken: (pid) => new StartupError(`another backup (pid ${pid}) is being made in ${folder}`, 'wait for its end'),
    closed: (code, cause) =>
      new StartupError(`${folder} cannot be written to (${code})`, 'make it writable for this user, or name another', {
        cause,
      }),
  })
}

async function run(): Promise<string> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      keep: { type: 'string' },
      list: { type: 'boolean' },
      verify: { type: 'boolean' },
      'blobs-only': { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help) return `${usage}\n`
  const [command, folder, name, ...rest] = positionals
  if (command !== 'backup' && command !== 'restore') throw new StartupError('say backup or restore', usage)
  if (!folder || !path.isAbsolute(folder) || rest.length > 0)
    throw new StartupError('the whole path of a folder is needed', usage)
  const place = placeAt(folder)
  if (values.list)
    return listBackups(place)
      .map(
        (one) =>
          `${one.name}  ${one.summary.objects} objects, ${one.summary.bytes} bytes, Berth ${one.summary.version}\n`,
      )
      .join('')
  // Before anything is made in a folder that was misspelled.
  const chosen = command === 'restore' ? findBackup(place, name) : undefined
  const lock = chosen ? undefined : lockPlace(folder)
  const held = await openBlobStore({ blobsDirectory: place.blobs, diskReserveBytes: 0 })
  try {
    if (chosen && values.verify) return await verify(chosen)
    const installation = readInstallation()
    const needsDatabase = !(chosen && values['blobs-only'])
    const databaseUrl = needsDatabase ? requireDatabase(installation.databaseUrl) : undefined
    const { home, blobsDirectory } = installation
    const owners = chosen ? await Promise.all([blobsDirectory, home].map(ownerOf)) : []
    const blobs = await openBlobStore(installation)
    try {
      if (chosen) return await putBack(chosen, { databaseUrl, blobs, home })
      return await backUp({ databaseUrl: databaseUrl as string, blobs, home })
    } finally {
      await blobs.close()
      await giveTo(owners[0], blobsDirectory)
      await giveTo(owners[1], home && path.join(home, secretsFile))
    }
  } finally {
    await held.close()
    lock?.release()
  }

  async function verify({ name, folder, summary }: Backup): Promise<string> {
    const damaged = await findDamage(held, readList(folder))
    if (damaged.length === 0) return `all ${summary.objects} objects of ${name} are there and sound\n`
    throw new Error(`${damaged.length} objects of ${name} are missing or damaged, the first ${damaged[0]?.digest}`)
  }

  async function backUp(source: Parameters<typeof makeBackup>[0]): Promise<string> {
    const keep = values.keep === undefined ? undefined : Number(values.keep)
    if (keep !== undefined && !(Number.isInteger(keep) && keep > 0))
      throw new StartupError('--keep takes a number of backups, 1 or more', usage)
    const made = await makeBackup(source, place, held)
    const lines = [`made ${made.name}: ${made.objects} objects, ${made.bytes} bytes`]
    if (!made.hasKeys)
      lines.push('the keys are not part of it: keep BERTH_SECRETS_KEY and the other secrets where you will find them')
    if (keep !== undefined) {
      const gone = await prune(place, held, keep)
      lines.push(`removed ${gone.backups.length} older backups, and ${gone.objects} objects that were theirs alone`)
    }
    return `${lines.join('\n')}\n`
  }

  async function putBack(backup: Backup, target: Parameters<typeof restore>[2]): Promise<string> {
    const done = await restore(backup, held, target)
    const keys = {
      restored: 'the keys are restored',
      there: 'the keys that are there were left as they are',
      elsewhere: 'the keys are not part of it: set BERTH_SECRETS_KEY as it was',
    }[done.secrets]
    const blobs = `${done.copied} objects copied, ${done.known} there before, all are sound`
    if (target.databaseUrl === undefined) return `restored the blobs of ${backup.name}: ${blobs}\n`
    return `restored ${backup.name}: ${blobs}; ${keys}\nstart Berth once with BERTH_RESTORED=${backup.name}\n`
  }
}

try {
  process.stdout.write(await run())
} catch (error) {
  const remedy = error instanceof StartupError ? `; ${error.remedy}` : ''
  process.stderr.write(`berth backup: ${error instanceof Error ? error.message : String(error)}${remedy}\n`)
  process.exitCode = 1
}
