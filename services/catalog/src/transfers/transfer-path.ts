import { lstat, mkdir, realpath } from 'node:fs/promises'
import path from 'node:path'
import { badField, Problem } from '@berth/service'

const mostCharacters = 1_000
// What is being written has the id of what it is in its name too.
const mostInName = 180
// Of what a file system and a bucket take; hidden names are for what is being written.
const name = /^[A-Za-z0-9_][A-Za-z0-9._@+ -]*$/

/** Reads the path of a target: relative, or absolute where it lies below `root`. Throws 400. Answers it relative, with slashes. */
export function readTransferPath(text: string, field: string, root?: string): string {
  if (text.length > mostCharacters) throw badField(field, `has more than ${mostCharacters} characters`)
  let inside = text
  if (path.posix.isAbsolute(text)) {
    if (root === undefined || !text.startsWith(`${root}/`))
      throw badField(field, 'lies outside of the directory for transfers', 'Give it relative to BERTH_TRANSFER_DIR.')
    inside = text.slice(root.length + 1)
  }
  const names = inside.split('/')
  for (const one of names)
    if (!name.test(one) || one.length > mostInName)
      throw badField(
        field,
        `has "${one.slice(0, 100)}" as a name`,
        `Names are letters, digits and ._@+- (${mostInName} at most), do not begin with a dot, and stand between single slashes.`,
      )
  return names.join('/')
}

/** The directory for transfers, made where it is missing. Throws 400 where there is none. */
export async function transferRoot(directory: string | undefined): Promise<string> {
  if (directory === undefined)
    throw new Problem(400, 'no_transfer_directory', 'This installation has no directory for transfers.', {
      hint: 'Set BERTH_TRANSFER_DIR for catalog, or take a download.',
    })
  await mkdir(directory, { recursive: true, mode: 0o700 })
  return realpath(directory)
}

/**
 * The folder that `inside` lies in, below the root. With `make`, what is missing of it is made for nobody but this user; else it is `undefined` then. A
 * link at any step, and what is no folder, is refused: it would lead elsewhere.
 */
export async function folderBelow(
  root: string,
  inside: string,
  { make }: { make: boolean },
): Promise<string | undefined> {
  let folder = root
  for (const step of inside.split('/').slice(0, -1)) {
    folder = path.join(folder, step)
    const found = await lstat(folder).catch(unlessMissing)
    if (!found && !make) return undefined
    if (!found) await mkdir(folder, { mode: 0o700 }).catch(unlessThere)
    const now = found ?? (await lstat(folder))
    if (!now.isDirectory())
      throw new Problem(409, 'not_a_folder', `"${path.relative(root, folder)}" is a link or a file, and no folder.`, {
        hint: 'Choose another path, or move it away.',
      })
  }
  return folder
}

export function unlessMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT') return undefined
  throw error
}

function unlessThere(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'EEXIST') return undefined
  throw error
}
