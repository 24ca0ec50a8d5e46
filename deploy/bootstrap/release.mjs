import { createHash } from 'node:crypto'
import { rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { lastLine, run } from './command.mjs'
import { say } from './say.mjs'

const answerMs = 6000
const archiveMs = 180_000

/**
 * Downloads an archive (tar.gz), compares it with its checksum before anything of it is read, and unpacks it without its outermost
 * folder. Throws with the host and the reason. `only` names the members that are wanted.
 */
export async function unpackRelease({ url, sha256, folder, only = [] }) {
  // On a closed network it fails at once, or after some seconds of silence, and not after minutes.
  await request(url, { method: 'HEAD' }, answerMs)
  const archive = path.posix.basename(new URL(url).pathname)
  say(`downloading ${archive}`)
  const bytes = await request(url, {}, archiveMs)
  if (createHash('sha256').update(bytes).digest('hex') !== sha256) throw new Error(`${archive} has a wrong checksum`)
  const file = path.join(folder, archive)
  writeFileSync(file, bytes)
  const { code, output } = await run('tar', ['-xzf', file, '-C', folder, '--strip-components=1', ...only])
  if (code !== 0) throw new Error(`tar: ${lastLine(output)}`)
  rmSync(file)
}

/** A small text that stands beside a release. */
export async function fetchText(url) {
  return (await request(url, {}, answerMs)).toString('utf8')
}

async function request(url, options, timeoutMs) {
  try {
    const answer = await fetch(url, { ...options, signal: AbortSignal.timeout(timeoutMs) })
    if (!answer.ok) throw new Error(`answered ${answer.status}`)
    return Buffer.from(await answer.arrayBuffer())
  } catch (error) {
    const why =
      error.cause?.code ?? (error.name === 'TimeoutError' ? `no answer in ${timeoutMs / 1000} s` : error.message)
    throw new Error(`${new URL(url).host}: ${why}`, { cause: error })
  }
}
