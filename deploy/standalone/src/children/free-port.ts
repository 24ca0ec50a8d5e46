import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'

// Below those that Linux (32768) and macOS (49152) give to whoever asks for any: nobody gets one of these by chance while a
// process that was told to listen there is still starting.
const lowest = 20_000
const above = 32_768
const mostTries = 100
// Several are chosen before the first of them is in use: by chance two would be the same, and one service would be taken
// for another.
const given = new Set<number>()
const mostGiven = (above - lowest) / 4

/**
 * A port of 127.0.0.1 that is free now, and none of the last that were given. Another process may take it before it is used, so
 * the user of it tries again.
 */
export async function freePort(): Promise<number> {
  for (let tries = 1; ; tries++) {
    const port = randomInt(lowest, above)
    if (given.has(port)) continue
    const server = createServer().listen(port, '127.0.0.1')
    try {
      await once(server, 'listening')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || tries === mostTries) throw error
      continue
    }
    server.close()
    await once(server, 'close')
    given.add(port)
    const [oldest] = given
    if (given.size > mostGiven && oldest !== undefined) given.delete(oldest)
    return port
  }
}
