import { type Setting, StartupError } from '@berth/service'

const isAddress = /^BERTH_(AUTH|BUILD|CATALOG|REGISTRY|SYNC|TASKS|INTERNAL)_URL$/

/**
 * Refuses addresses of services that do not go with `isEncrypted`, whether services show each other certificates: of calls that
 * are thought to be encrypted none may go out in plain text. Throws `StartupError` that names each.
 */
export function requireAddresses(
  settings: Readonly<Record<string, Setting<unknown>>>,
  config: Readonly<Record<string, unknown>>,
  isEncrypted: boolean,
): void {
  const scheme = isEncrypted ? 'https://' : 'http://'
  const wrong = Object.entries(settings).flatMap(([key, { env }]) => {
    const value = config[key]
    return isAddress.test(env) && typeof value === 'string' && !value.startsWith(scheme) ? [env] : []
  })
  if (wrong.length === 0) return
  if (isEncrypted)
    throw new StartupError(
      `BERTH_INTERNAL_TLS_CERT is set and ${wrong.join(', ')} ${wrong.length === 1 ? 'does' : 'do'} not begin with https://`,
      'give the address of each service as https://, with a name that is in its certificate',
    )
  throw new StartupError(
    `${wrong.join(', ')} ${wrong.length === 1 ? 'begins' : 'begin'} with https:// and BERTH_INTERNAL_TLS_CERT is not set`,
    'set BERTH_INTERNAL_TLS_CERT, _KEY and _CA for calls that are encrypted, or give addresses that begin with http://',
  )
}
