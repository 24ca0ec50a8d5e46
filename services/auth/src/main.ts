import { createLogger, createMetrics, readConfig, runAlone, withSecretsKey } from '@berth/service'
import { createAuth } from './app.ts'
import { authSettings } from './config.ts'

await runAlone(() => {
  const config = withSecretsKey(readConfig(authSettings, process.env))
  const log = createLogger({ service: 'auth', level: config.logLevel, output: config.logOutput })
  const metrics = createMetrics({ defaults: true })
  const auth = createAuth(config, { log, metrics })
  const start = async () => {
    await auth.start()
    const password = auth.firstPassword()
    if (password !== undefined) process.stdout.write(`first start: user admin, password ${password} (shown only now)\n`)
  }
  return { service: { ...auth, start }, log, metrics, ...config }
})
