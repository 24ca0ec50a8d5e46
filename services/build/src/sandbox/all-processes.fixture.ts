import { createServer } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'

/**
 * Waits until no other test on this machine takes or counts all the processes that the account of builds may have: the kernel counts
 * them by account (RLIMIT_NPROC, getrlimit(2)), and not by test. Answers what gives it back; the end of the process does too.
 */
export async function takeAllProcesses(): Promise<() => Promise<void>> {
  for (;;) {
    const server = createServer()
    const isOurs = await new Promise<boolean>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) =>
        error.code === 'EADDRINUSE' ? resolve(false) : reject(error),
      )
      server.listen({ path: '\0berth-test-all-processes' }, () => resolve(true))
    })
    if (isOurs) return () => new Promise((resolve) => server.close(() => resolve()))
    await pause(100)
  }
}
