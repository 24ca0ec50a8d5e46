import { appendFileSync, chmodSync, existsSync } from 'node:fs'
import winston from 'winston'

const fileBytes = 16 << 20
const filesKept = 3
const fileMode = 0o600
const gatherMs = 50
const gatherBytes = 64 << 10

/** Under which winston's transports look for what they write. */
export const written = Symbol.for('message')

const open = new Set<LogFile>()
process.on('exit', () => {
  for (const file of open) file.writeLast()
})

/**
 * The file of a log, cut into a few of 16 MiB, for its owner alone. Lines go into it together: to write one by itself costs more than to make
 * it. Those that warn go at once, with all before them, and what is left when the process ends is written then.
 */
export class LogFile extends winston.transports.File {
  readonly #path: string
  #lines: string[] = []
  #length = 0
  #timer: NodeJS.Timeout | undefined

  constructor(path: string) {
    // It names users and what they pull; one of an earlier release is closed too.
    if (existsSync(path)) chmodSync(path, fileMode)
    super({ filename: path, maxsize: fileBytes, maxFiles: filesKept, options: { flags: 'a', mode: fileMode } })
    this.#path = path
    open.add(this)
    this.once('finish', () => open.delete(this))
  }

  override log(entry: { level: string; [written]: string }, next: () => void): void {
    const line = entry[written]
    this.#lines.push(line)
    this.#length += line.length
    const isUrgent = entry.level === 'warn' || entry.level === 'error'
    if (isUrgent || this.#length >= gatherBytes) this.#write(next)
    else {
      this.#timer ??= setTimeout(() => this.#write(() => undefined), gatherMs)
      next()
    }
  }

  /** Writes what was gathered, while nothing else can be waited for any more. */
  writeLast(): void {
    const text = this.#take()
    if (text !== '') appendFileSync(this.#path, `${text}\n`, { mode: fileMode })
  }

  #write(next: () => void): void {
    super.log?.({ [written]: this.#take() }, next)
  }

  #take(): string {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const text = this.#lines.join('\n')
    this.#lines = []
    this.#length = 0
    return text
  }
}
