import { runUntilSignal } from '@berth/service'
import { readStandaloneConfig } from './config.ts'
import { startStack } from './stack.ts'

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
  return () => stack.stop()
})
