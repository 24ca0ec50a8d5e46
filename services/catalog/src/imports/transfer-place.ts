import { lstat } from 'node:fs/promises'
import path from 'node:path'
import { badField, Problem } from '@berth/service'
import { folderBelow, readTransferPath, transferRoot, unlessMissing } from '../transfers/transfer-path.ts'

const field = 'from.path'

/** Reads where an archive lies: relative to the directory for transfers, or absolute below it. Throws 400. Answers it relative. */
export async function readPlace(directory: string | undefined, given: string): Promise<string> {
  return readTransferPath(given, field, await requireDirectory(directory))
}

/** The place itself. A link at any step is refused: it would lead elsewhere. */
export async function placeBelow(directory: string | undefined, inside: string): Promise<string> {
  const root = await requireDirectory(directory)
  const folder = await folderBelow(root, inside, { make: false })
  const place = folder && path.join(folder, path.basename(inside))
  const found = place && (await lstat(place).catch(unlessMissing))
  if (!place || !found) throw badField(field, `names "${inside}", which is not there`)
  if (!found.isFile() && !found.isDirectory())
    throw badField(field, `names "${inside}", which is a link, or no file`, 'Links are not followed.')
  return place
}

async function requireDirectory(directory: string | undefined): Promise<string> {
  if (directory !== undefined) return transferRoot(directory)
  throw new Problem(400, 'no_transfer_directory', 'This installation has no directory for transfers.', {
    field,
    hint: 'Set BERTH_TRANSFER_DIR for catalog, or upload the archive: {"from": {"kind": "upload"}}.',
  })
}
