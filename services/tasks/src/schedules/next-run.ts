import { Cron } from 'croner'

/** A text that is no cron expression; `position` is the place of the first character that cannot be understood. */
export class BadCron extends Error {
  override name = 'BadCron'
  readonly position: number
  constructor(message: string, position: number) {
    super(message)
    this.position = position
  }
}

const nicknames = new Set(['@yearly', '@annually', '@monthly', '@weekly', '@daily', '@midnight', '@hourly'])
const everyPattern = /^@every ([1-9]\d{0,8})(s|m|h)$/
const unitSeconds: Record<string, number> = { s: 1, m: 60, h: 3_600 }
const fieldNames = ['minute', 'hour', 'day of the month', 'month', 'day of the week']
const minuteMs = 60_000
// No zone has been set forward or back by more at once.
const longestShiftMs = 26 * 3_600_000

/** Reads a cron expression: five fields, a nickname as `@daily`, or `@every 90m`. Throws `BadCron`. */
export function checkCron(cron: string): void {
  if (nicknames.has(cron) || everySeconds(cron) !== undefined) return
  if (cron.startsWith('@'))
    throw new BadCron(`there is no ${cron}; the names are ${[...nicknames].join(', ')}, and @every 90m`, 0)
  const fields = [...cron.matchAll(/\S+/g)]
  if (fields.length !== fieldNames.length)
    throw new BadCron(
      `it has ${fields.length} fields, and wants five: ${fieldNames.join(', ')}`,
      fields[fieldNames.length]?.index ?? cron.length,
    )
  for (const [place, field] of fields.entries()) {
    const alone = fieldNames.map((_name, other) => (other === place ? field[0] : '*')).join(' ')
    try {
      read(alone)
    } catch (error) {
      const reason = (error as Error).message.replace(/^CronPattern: /, '')
      throw new BadCron(`the ${fieldNames[place]} "${field[0]}" cannot be read: ${reason}`, field.index)
    }
  }
}

/** Of an expression that has no times of its own, and comes so many seconds after the time before. */
export function everySeconds(cron: string): number | undefined {
  const [, count, unit] = everyPattern.exec(cron) ?? []
  return count === undefined ? undefined : Number(count) * (unitSeconds[unit ?? ''] ?? 1)
}

/** Starts no clock: times are only asked for. */
function read(cron: string, timezone = 'UTC'): Cron {
  return new Cron(cron, { timezone, paused: true })
}

/** Whether a text names a time zone of the IANA database. */
export function isTimeZone(timeZone: string): boolean {
  try {
    return Intl.DateTimeFormat('en', { timeZone }).resolvedOptions().timeZone !== ''
  } catch {
    return false
  }
}

/**
 * The first time after `after` that a cron expression names in a time zone; `undefined` where there is none. A time that the clocks leave
 * out is the first instant after the gap; one that they show twice is the first of the two.
 */
export function nextRun(cron: string, timeZone: string, after: Date): Date | undefined {
  const every = everySeconds(cron)
  if (every !== undefined) return new Date(after.getTime() + every * 1_000)
  const times = read(cron, timeZone)
  let from = after
  for (;;) {
    const found = times.nextRun(from)
    if (!found) return undefined
    if (times.match(found)) return found
    // The clocks left it out, and the library moved it on by as much as they were set forward.
    const afterGap = endOfGap(found, timeZone)
    if (afterGap > after) return afterGap
    // It was used already; several times of one gap are one.
    from = found
  }
}

/** The last instant up to `time` at which the clocks of a zone were set. */
function endOfGap(time: Date, timeZone: string): Date {
  const offset = offsetMs(time, timeZone)
  let [early, late] = [time.getTime() - longestShiftMs, time.getTime()]
  while (late - early > minuteMs) {
    const middle = early + Math.floor((late - early) / 2 / minuteMs) * minuteMs
    if (offsetMs(new Date(middle), timeZone) === offset) late = middle
    else early = middle
  }
  return new Date(late)
}

/** By how much the clocks of a zone are ahead of UTC. */
function offsetMs(time: Date, timeZone: string): number {
  const parts = new Intl.DateTimeFormat('en-US', { timeZone, timeZoneName: 'longOffset' }).formatToParts(time)
  const text = parts.find(({ type }) => type === 'timeZoneName')?.value ?? 'GMT'
  const [, sign = '+', hours = '0', minutes = '0'] = /GMT([+-])(\d\d):(\d\d)/.exec(text) ?? []
  return (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes)) * minuteMs
}
