import { X509Certificate } from 'node:crypto'
import { buildConnector } from 'undici'
import { optionalText } from './config.ts'
import type { Logger } from './logger.ts'
import { StartupError } from './startup-error.ts'
import { followPair, type Tls, type TlsPair } from './tls.ts'

const files = {
  internalTlsCert: 'BERTH_INTERNAL_TLS_CERT',
  internalTlsKey: 'BERTH_INTERNAL_TLS_KEY',
  internalTlsCa: 'BERTH_INTERNAL_TLS_CA',
} as const
type FileName = keyof typeof files

/** What services show each other and believe of each other: paths of PEM files, all or none. */
export const internalTlsSettings = {
  internalTlsCert: optionalText(files.internalTlsCert),
  internalTlsKey: optionalText(files.internalTlsKey),
  internalTlsCa: optionalText(files.internalTlsCa),
}
export type InternalTlsFiles = Record<FileName, string | undefined>

/** What encrypts the calls of services among themselves. Callers are known by their signatures, so only owners show certificates. */
export type InternalTls = {
  /** What the internal listener shows. */
  readonly shown: Tls
  /** Opens connections to a service: none without TLS, nor to one whose certificate is not of the authority or for another name. */
  connectorTo(to: string, from: string): buildConnector.connector
}

/** Reads what is set and follows its files; `undefined` when nothing is. Throws `StartupError` for a part of it, and for what cannot be used. */
export async function openInternalTls(
  paths: InternalTlsFiles,
  log: Logger,
  options: { lookEveryMs?: number } = {},
): Promise<InternalTls | undefined> {
  const names = Object.keys(files) as FileName[]
  const set = names.filter((name) => paths[name] !== undefined)
  const [missing] = names.filter((name) => paths[name] === undefined)
  if (set[0] === undefined) return undefined
  if (missing !== undefined)
    throw new StartupError(
      `${files[set[0]]} is set and ${files[missing]} is not`,
      'set all three of BERTH_INTERNAL_TLS_CERT, _KEY and _CA to the paths of PEM files, or none for http between services',
    )
  const file = (name: FileName) => ({ setting: files[name], path: paths[name] as string })
  const source = { cert: file('internalTlsCert'), key: file('internalTlsKey'), ca: file('internalTlsCa') }
  const shown = await followPair(source, log, options)
  return { shown, connectorTo: (to, from) => connector(shown, log, { to, isReplica: to === from }) }
}

function connector(
  shown: Tls,
  log: Logger,
  { to, isReplica }: { to: string; isReplica: boolean },
): buildConnector.connector {
  let made: { pair: TlsPair; connect: buildConnector.connector; servername: string | undefined } | undefined
  let told = ''
  return (options, callback) => {
    const pair = shown.current()
    if (made?.pair !== pair)
      made = { pair, connect: connectorFor(pair), servername: isReplica ? nameIn(pair) : undefined }
    if (options.protocol !== 'https:')
      return callback(new UntrustedPeer(`its address begins with ${options.protocol}//`), null)
    const { servername = options.servername } = made
    made.connect({ ...options, ...(servername === undefined ? {} : { servername }) }, (error, socket) => {
      if (error === null) told = ''
      // Each call of each request would say the same.
      else if (isUntrusted(error) && told !== error.message) {
        told = error.message
        log.error('the certificate of another service is not believed', { peer: to, reason: error.message })
      }
      if (error === null) callback(null, socket)
      else callback(error, null)
    })
  }
}

function connectorFor({ ca }: TlsPair): buildConnector.connector {
  return buildConnector({
    ...(ca && { ca }),
    rejectUnauthorized: true,
    allowH2: false,
    // A session that is taken up again is not looked at again.
    maxCachedSessions: 0,
  })
}

/** The replicas of a service are found by their addresses, which no certificate has: they have the names of our own. */
function nameIn({ cert }: TlsPair): string | undefined {
  return /(?:^|, )DNS:([^,"*]+)/.exec(new X509Certificate(cert).subjectAltName ?? '')?.[1]
}

class UntrustedPeer extends Error {
  override name = 'UntrustedPeer'
}

const untrusted =
  /^(ERR_TLS_CERT_|CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|INVALID_(CA|PURPOSE)|PATH_LENGTH_|ERROR_IN_CERT_|HOSTNAME_)/

/** Whether a connection was given up because of whom it led to (https://nodejs.org/api/tls.html#x509-certificate-error-codes). */
export function isUntrusted(error: unknown): boolean {
  if (error instanceof UntrustedPeer) return true
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && untrusted.test(error.code)
}
