import winston from 'winston'
import { databaseProblem } from './database-away.ts'
import { LogFile, written } from './log-file.ts'
import { withoutSecrets } from './secret-values.ts'

export const logLevels = ['error', 'warn', 'info', 'debug'] as const
export type LogLevel = (typeof logLevels)[number]
type LogFields = Record<string, unknown>

/** One JSON line an entry: a fixed phrase, and the values as fields. */
export type Logger = {
  error(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  debug(message: string, fields?: LogFields): void
  /** A logger that adds these fields to each line. */
  with(fields: LogFields): Logger
}

// By their end, so that `adminPassword`, `proxy-authorization` and `BERTH_SERVICE_PRIVATE_KEY` are meant too.
const secretKeys =
  /(authorization|cookie|password|secrets?|token|(secrets?|service|client|private|api)[_-]?key|nats[_-]?seed)$/i
// None of them begins anew within what another try has looked at, so that a hostile text costs no more than its own length.
const urlCredentials = /(\b[a-z][a-z0-9+.-]{0,20}:\/\/)[^/\s@"']{1,2000}@/gi
const urls = /\b[a-z][a-z0-9+.-]{0,20}:\/\/[^\s"']+/gi
// Beyond what was taken out of it already.
const queries = /\?(?:\[redacted\]|[^)\]}])+/g
const bearerOrBasic = /\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}/gi

// No secret is taken out of a text that is shorter.
const leastOfSecret = 8

/** A text without known secrets, credentials and queries of URLs, and what is sent as a login. */
export function redactText(text: string): string {
  if (text.length < leastOfSecret) return text
  return withoutSecrets(text)
    .replace(urlCredentials, '$1[redacted]@')
    .replace(urls, (url) => url.replace(queries, '?[redacted]'))
    .replace(bearerOrBasic, '$1 [redacted]')
}

/** Removes what must not be read: values under secret names, known secrets, credentials and queries of URLs, headers, whatever the depth. */
export function redact(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return redactText(value)
  if (typeof value === 'bigint') return value.toString()
  if (value instanceof Error || Error.isError(value)) return describeError(value, depth)
  if (typeof value !== 'object' || value === null || value instanceof Date) return value
  if (depth > 6) return '[deep]'
  if (value instanceof URL) return redact(value.href)
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`
  if (Array.isArray(value)) return value.map((item) => redact(item, depth + 1))
  const entries = Object.entries(value).map(([key, item]) => [
    key,
    secretKeys.test(key) ? '[redacted]' : redact(item, depth + 1),
  ])
  return Object.fromEntries(entries)
}

function describeError(error: Error, depth: number): unknown {
  // Loops meet a database that is away again and again: where in the program that was says nothing.
  const foreseen = (error as { status?: unknown }).status === 503 || databaseProblem(error) !== undefined
  return {
    name: error.name,
    message: redact(error.message),
    ...(foreseen ? {} : { stack: redact(error.stack) }),
    ...(error.cause === undefined || depth > 6 ? {} : { cause: redact(error.cause, depth + 1) }),
  }
}

/** Where lines go: into a file of the stack, or all of them to standard output, as collectors of containers' logs want them. */
export const logOutputs = ['file', 'stdout'] as const
export type LogOutput = (typeof logOutputs)[number]

/**
 * A logger of one service. Writes JSON lines to standard error, so that standard output stays for results; with `file`, the
 * lines go there (cut into a few files of 16 MiB) and only warnings and errors to standard error too. With the output `stdout`
 * all go there and nowhere else.
 */
export function createLogger(options: {
  service: string
  level?: LogLevel
  file?: string
  output?: LogOutput
  silent?: boolean
}): Logger {
  const { level = 'info', output } = options
  const file = output === 'stdout' ? undefined : options.file
  const stream = new winston.transports.Stream({
    stream: output === 'stdout' ? process.stdout : process.stderr,
    level: file === undefined || level === 'error' ? level : 'warn',
  })
  const base = winston.createLogger({
    level,
    silent: options.silent ?? false,
    format: plainLine(),
    transports: file === undefined ? [stream] : [stream, new LogFile(file)],
  })
  return wrap(base, { service: options.service })
}

/** Redacts an entry and makes a line of it, in one step: each request that changes something pays for one. */
const plainLine = winston.format((entry) => {
  const line: LogFields = {}
  for (const [key, value] of Object.entries(entry)) line[key] = secretKeys.test(key) ? '[redacted]' : redact(value)
  line.timestamp = new Date().toISOString()
  return { ...entry, [written]: JSON.stringify(line) }
})

function wrap(base: winston.Logger, fields: LogFields): Logger {
  // Asked first: a line below the level would still be redacted and formatted.
  const write = (level: LogLevel) => (message: string, more?: LogFields) => {
    if (base.isLevelEnabled(level)) base.log(level, message, { ...fields, ...more })
  }
  return {
    error: write('error'),
    warn: write('warn'),
    info: write('info'),
    debug: write('debug'),
    with: (more) => wrap(base, { ...fields, ...more }),
  }
}
