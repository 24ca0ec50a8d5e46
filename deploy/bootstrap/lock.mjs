import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'

/** Runs `work` while no other process that uses the same lock file does; a lock whose holder has died is taken over. */
export async function withLock(file, onWait, work) {
  let said = false
  while (!take(file)) {
    if (!said) onWait()
    said = true
    await pause(200)
  }
  try {
    return await work()
  } finally {
    rmSync(file, { force: true })
  }
}

// The pid is written before the lock gets its name, so a lock without a pid is never seen.
function take(file) {
  const own = `${file}.${process.pid}`
  writeFileSync(own, String(process.pid))
  try {
    linkSync(own, file)
    return true
  } catch (error) {
    if (error.code !== 'EEXIST') throw error
    if (!holderLives(file)) rmSync(file, { force: true })
    return false
  } finally {
    rmSync(own, { force: true })
  }
}

function holderLives(file) {
  try {
    process.kill(Number(readFileSync(file, 'utf8')), 0)
    return true
  } catch (error) {
    // Gone in this moment: not dead, but free; the next try takes it.
    return error.code === 'EPERM' || error.code === 'ENOENT'
  }
}
