import { chmod, readdir, stat } from 'node:fs/promises'
import path from 'node:path'

/** Lets everybody read a folder, whatever the umask of the service is: an account without rights reads it inside. */
export async function openUp(folder: string): Promise<void> {
  await chmod(folder, 0o755)
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const place = path.join(folder, entry.name)
    if (entry.isDirectory()) await openUp(place)
    else if (entry.isFile() && ((await stat(place)).mode & 0o044) !== 0o044) await chmod(place, 0o644)
  }
}
