import { setTimeout as delay } from 'node:timers/promises'

const patienceMs = 5_000

/** Writes lines to standard output. Throws where whatever reads them does not take them: they are written again later. */
export async function writeToStdout(lines: string): Promise<void> {
  const over = new AbortController()
  const late = delay(patienceMs, undefined, { signal: over.signal }).then(
    () => Promise.reject(new Error(`standard output takes nothing for ${patienceMs / 1_000} s`)),
    () => undefined,
  )
  const written = new Promise<void>((resolve, reject) => {
    process.stdout.write(lines, (error) => (error ? reject(error) : resolve()))
  })
  try {
    await Promise.race([written, late])
  } finally {
    over.abort()
  }
}
