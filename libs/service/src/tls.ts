import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { createSecureContext } from 'node:tls'
import { optionalText } from './config.ts'
import type { Logger } from './logger.ts'
import { StartupError } from './startup-error.ts'

/** Where the public listener has its certificate and key from: paths of PEM files, both or none. */
export const tlsSettings = { tlsCert: optionalText('BERTH_TLS_CERT'), tlsKey: optionalText('BERTH_TLS_KEY') }
export type TlsFiles = { tlsCert: string | undefined; tlsKey: string | undefined }

/** A certificate with the chain it needs, and its key, both PEM; and the authorities that are believed, where files say so. */
export type TlsPair = { cert: Buffer; key: Buffer; ca?: Buffer }

/** A file and the setting that names it. */
type NamedFile = { setting: string; path: string }
export type TlsSource = { cert: NamedFile; key: NamedFile; ca?: NamedFile }

/** A pair that is followed as its files change. */
export type Tls = {
  current(): TlsPair
  /** Calls back with each new pair. */
  onChange(use: (pair: TlsPair) => void): void
  stop(): Promise<void>
}

const lookEveryMs = 2_000

/** Follows the pair of the public listener; `undefined` when none is set. Throws `StartupError` when it cannot be used. */
export async function openTls(
  { tlsCert, tlsKey }: TlsFiles,
  log: Logger,
  options: { lookEveryMs?: number } = {},
): Promise<Tls | undefined> {
  if (tlsCert === undefined && tlsKey === undefined) return undefined
  if (tlsCert === undefined || tlsKey === undefined) {
    const [set, missing] = tlsCert === undefined ? ['KEY', 'CERT'] : ['CERT', 'KEY']
    throw new StartupError(
      `BERTH_TLS_${set} is set and BERTH_TLS_${missing} is not`,
      'set both to the paths of PEM files for https, or neither for http',
    )
  }
  const source = {
    cert: { setting: 'BERTH_TLS_CERT', path: tlsCert },
    key: { setting: 'BERTH_TLS_KEY', path: tlsKey },
  }
  return followPair(source, log, options)
}

/**
 * Reads a pair and goes on looking at its files. Throws `StartupError` when it cannot be used. A later pair that cannot be used
 * leaves the one before in place, and the log says why.
 *
 * The files are looked at, not watched: their state is what a path leads to, whether it was written anew, renamed into its
 * place, or is a link of a folder that Kubernetes swaps; and that holds on network file systems too.
 */
export async function followPair(source: TlsSource, log: Logger, options: { lookEveryMs?: number } = {}): Promise<Tls> {
  const first = await stateOf(source)
  const pair = await readPair(source)
  return follow({ source, log, everyMs: options.lookEveryMs ?? lookEveryMs }, { state: first, pair })
}

function follow(
  { source, log, everyMs }: { source: TlsSource; log: Logger; everyMs: number },
  loaded: { state: string; pair: TlsPair },
): Tls {
  const users: ((pair: TlsPair) => void)[] = []
  let { state, pair } = loaded
  // What could not be used at the last look, and what of that was told.
  let suspect = ''
  let told = ''
  const look = async () => {
    const seen = await stateOf(source)
    if (seen === state) return
    try {
      const next = await readPair(source)
      const isNew = !isSame(next, pair)
      if (isNew) for (const use of users) use(next)
      if (isNew) log.info('TLS certificate changed', aboutCertificate(next))
      else if (told) log.info('the TLS certificate and key in use are back in their files')
      ;[state, pair, suspect, told] = [seen, next, '', '']
    } catch (error) {
      // One file may be written before the other: only what is still wrong at the next look is told, and once.
      if (suspect === seen && told !== seen) {
        log.error('the new TLS certificate and key cannot be used; the old ones stay', { error })
        told = seen
      }
      suspect = seen
    }
  }
  let looking = Promise.resolve()
  let busy = false
  const timer = setInterval(() => {
    if (busy) return
    busy = true
    looking = look()
      .catch((error: unknown) => log.error('the TLS certificate cannot be looked at', { error }))
      .finally(() => {
        busy = false
      })
  }, everyMs)
  timer.unref()
  return {
    current: () => pair,
    onChange: (use) => void users.push(use),
    stop: async () => {
      clearInterval(timer)
      await looking
    },
  }
}

function isSame(one: TlsPair, other: TlsPair): boolean {
  const none = Buffer.alloc(0)
  return one.cert.equals(other.cert) && one.key.equals(other.key) && (one.ca ?? none).equals(other.ca ?? none)
}

function aboutCertificate({ cert }: TlsPair): Record<string, unknown> {
  const { subject, validTo } = new X509Certificate(cert)
  return { subject, validTo }
}

/** What the paths lead to at the moment: another file, or another state of the same, is another text. */
async function stateOf(source: TlsSource): Promise<string> {
  const states = Object.values(source).map(async ({ path }) => {
    try {
      const { dev, ino, size, mtimeMs, ctimeMs } = await stat(path)
      return [dev, ino, size, mtimeMs, ctimeMs].join(':')
    } catch (error) {
      return String((error as NodeJS.ErrnoException).code)
    }
  })
  return (await Promise.all(states)).join(' ')
}

async function readPair(source: TlsSource): Promise<TlsPair> {
  const [certFile, keyFile] = [named(source.cert), named(source.key)]
  const cert = await readPem(source.cert)
  const key = await readPem(source.key)
  const certificate = attempt(
    () => new X509Certificate(cert),
    `${certFile} has no certificate in PEM`,
    'give the certificate of this host, followed by those that lead to its authority',
  )
  const privateKey = attempt(
    () => createPrivateKey(key),
    `${keyFile} has no private key in PEM that opens without a password`,
    'give the key of the certificate; openssl pkey -in FILE takes a password off',
  )
  if (!certificate.checkPrivateKey(privateKey))
    throw new StartupError(
      `${certFile} and ${keyFile} do not belong together`,
      'give the key that the certificate was made for; the certificate of this host comes first in its file',
    )
  attempt(
    () => createSecureContext({ cert, key }),
    `${certFile} and ${keyFile} cannot be used for TLS`,
    'give a certificate and key of a kind that is still in use, such as RSA with 2048 bits or ECDSA P-256',
  )
  return source.ca ? { cert, key, ca: await readAuthorities(source.ca) } : { cert, key }
}

async function readAuthorities(file: NamedFile): Promise<Buffer> {
  const ca = await readPem(file)
  const read = () => {
    // From a file without a certificate `createSecureContext` makes an empty list, by which every certificate is refused.
    void new X509Certificate(ca)
    createSecureContext({ ca })
  }
  attempt(
    read,
    `${named(file)} has no certificate in PEM`,
    'give the certificate of the authority, or those of several',
  )
  return ca
}

function named({ setting, path }: NamedFile): string {
  return `${setting}=${path}`
}

async function readPem(file: NamedFile): Promise<Buffer> {
  try {
    return await readFile(file.path)
  } catch (cause) {
    throw new StartupError(
      `${named(file)} cannot be read (${(cause as NodeJS.ErrnoException).code})`,
      'name a PEM file that the user of Berth may read',
      { cause },
    )
  }
}

function attempt<T>(work: () => T, message: string, remedy: string): T {
  try {
    return work()
  } catch (cause) {
    throw new StartupError(message, remedy, { cause })
  }
}
