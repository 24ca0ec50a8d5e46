import { runService } from '@berth/host'
import { withSecretsKey } from '@berth/service'
import { createAuth } from './app.ts'
import { authSettings } from './config.ts'

await runService('auth', authSettings, (config, parts) => {
  const auth = createAuth(withSecretsKey(config), parts)
  const start = async () => {
    await auth.start()
    const password = auth.firstPassword()
    if (password !== undefined) process.stdout.write(`first start: user admin, password ${password} (shown only now)\n`)
  }
  return { ...auth, start }
})
