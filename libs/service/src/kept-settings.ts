import { integer, optionalText } from './config.ts'

/** How long events that could not be handled are kept, in days; the standalone stack reads this too. */
export const deadLetterSettings = {
  deadLetterKeptDays: integer('BERTH_DEAD_LETTER_KEPT_DAYS', { min: 1, max: 3_650 }, { fallback: 30 }),
}

/** What an operator calls the restore after which this is started; the standalone stack reads this too. */
export const restoredSettings = { restored: optionalText('BERTH_RESTORED') }

/** Over how many seconds what is refused is counted; the standalone stack reads this too. */
export const auditCountSettings = {
  auditCountSeconds: integer('BERTH_AUDIT_COUNT_SECONDS', { min: 1, max: 3_600 }, { fallback: 60 }),
}
