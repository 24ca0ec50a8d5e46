import { writeSync } from 'node:fs'
import { runUntilSignal } from '@berth/service'
import { readStandaloneConfig } from './config.ts'
import { startStack } from './stack.ts'

// The parent that `npm start` leaves starts us again should we end, but only if we have been ready once
// (deploy/bootstrap/keep-up.mjs). Started by another program we have no such descriptor.
const keeperPipe = 3
const tellKeeper = () => {
  if (Number(process.env.BERTH_BOOTSTRAP_PID) === process.ppid) writeSync(keeperPipe, 'ready\n')
}
const say = (line: string) => void process.stdout.write(`${line}\n`)

await runUntilSignal(async () => {
  const config = readStandaloneConfig(process.env)
  const stack = await startStack(config, say)
  if (stack.firstPassword !== undefined) {
    say(
      `\n  admin user:  admin\n  password:    ${stack.firstPassword}\n  (made for this first start and shown only now; BERTH_ADMIN_PASSWORD sets another)\n`,
    )
  }
  say(`berth is ready: ${stack.url}`)
  tellKeeper()
  return () => stack.stop()
})
