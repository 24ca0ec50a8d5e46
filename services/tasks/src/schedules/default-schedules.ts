import { berth, type Database, integer, type Logger, type Sql } from '@berth/service'
import { insertSchedule } from './change-schedules.ts'

const unsaid = { fallback: undefined as unknown as number }

/** The settings that make the default schedules at the first start, in seconds; the standalone stack reads these too. 0: paused. */
export const scheduleSettings = {
  gcIntervalSeconds: integer('BERTH_GC_INTERVAL_SECONDS', { min: 0, max: 2_592_000 }, unsaid),
  retentionIntervalSeconds: integer('BERTH_RETENTION_INTERVAL_SECONDS', { min: 0, max: 2_592_000 }, unsaid),
  scrubIntervalSeconds: integer('BERTH_SCRUB_INTERVAL_SECONDS', { min: 0, max: 31_536_000 }, unsaid),
  scrubBytesPerSecond: integer('BERTH_SCRUB_BYTES_PER_SECOND', { min: 64 << 10, max: 2 ** 40 }, unsaid),
}
type Settings = { [Name in keyof typeof scheduleSettings]?: number | undefined }

const variables: Record<keyof Settings, string> = {
  gcIntervalSeconds: 'BERTH_GC_INTERVAL_SECONDS',
  retentionIntervalSeconds: 'BERTH_RETENTION_INTERVAL_SECONDS',
  scrubIntervalSeconds: 'BERTH_SCRUB_INTERVAL_SECONDS',
  scrubBytesPerSecond: 'BERTH_SCRUB_BYTES_PER_SECOND',
}
const gentleBytesPerSecond = 4 << 20
const [hour, day, week, month] = [3_600, 86_400, 604_800, 2_592_000]

/** Where in an hour, a day and a month each has its time: not all at once, and not when everybody's are. */
type Place = { minute: number; hour: number }
type Default = { name: string; kind: string; parameters: object; seconds: number; usual: number; place: Place }

function defaults(settings: Settings): Default[] {
  const { gcIntervalSeconds = hour, retentionIntervalSeconds = day, scrubIntervalSeconds = month } = settings
  const { scrubBytesPerSecond: bytesPerSecond = gentleBytesPerSecond } = settings
  const collect = { kind: 'gc', parameters: {}, seconds: gcIntervalSeconds, usual: hour }
  const retain = {
    kind: 'retention',
    parameters: { allRepositories: true },
    seconds: retentionIntervalSeconds,
    usual: day,
  }
  const scrub = { kind: 'scrub', parameters: { bytesPerSecond }, seconds: scrubIntervalSeconds, usual: month }
  return [
    { name: 'collect', ...collect, place: { minute: 23, hour: 1 } },
    { name: 'retain', ...retain, place: { minute: 47, hour: 3 } },
    { name: 'scrub', ...scrub, place: { minute: 11, hour: 2 } },
  ]
}

/** An interval as a cron expression. */
function cronOf(seconds: number, { minute, hour: ofDay }: Place): string {
  if (seconds === hour) return `${minute} * * * *`
  if (seconds === day) return `${minute} ${ofDay} * * *`
  if (seconds === week) return `${minute} ${ofDay} * * 0`
  if (seconds === month) return `${minute} ${ofDay} 1 * *`
  return `@every ${seconds}s`
}

/**
 * Makes the schedules of what Berth does by itself, once in the life of an installation. After that they are changed through the API, and
 * settings that are still there are told of and ignored.
 */
export async function makeDefaultSchedules(db: Database, settings: Settings, log: Logger): Promise<void> {
  const isFirst = await db.transaction(async (sql) => {
    const made = await sql.query(
      `insert into schedule_defaults
       default values
       on conflict do nothing
       returning made_at`,
    )
    if (made.length === 0) return false
    for (const one of defaults(settings)) await makeDefault(sql, one)
    return true
  })
  const names = Object.keys(variables) as (keyof Settings)[]
  const ignored = names.filter((name) => settings[name] !== undefined).map((name) => variables[name])
  if (!isFirst && ignored.length > 0)
    log.info('settings of intervals are ignored: change the schedules that they once made', { settings: ignored })
}

async function makeDefault(sql: Sql, { name, kind, parameters, seconds, usual, place }: Default): Promise<void> {
  const [taken] = await sql.query('select from schedule where name = $1', [name])
  const fields = {
    cron: cronOf(seconds || usual, place),
    timeZone: 'UTC',
    kind,
    parameters: { ...parameters },
    paused: seconds === 0,
    overlap: 'skip' as const,
    missed: 'once' as const,
    jitterSeconds: 0,
    runAs: systemName,
    runAsId: null,
  }
  await insertSchedule(sql, { name: taken ? `system-${name}` : name, ownerId: null, ...fields }, berth)
}

/** What Berth itself is called where a schedule is done by it. No account may be. */
export const systemName = 'system'
