import { defineEvent } from './event.ts'
import { count, text, uuid } from './fields.ts'

type ScheduleTime = { scheduleId: string; schedule: string; due: string; lateMs: number }
const time = { type: 'string', format: 'date-time' }
const due = { scheduleId: uuid, schedule: text, due: time, lateMs: count }

export const scheduleEvents = {
  fired: defineEvent<ScheduleTime>('tasks', 'schedule.fired', 'A schedule was due, and its run is started.', due),
  missed: defineEvent<ScheduleTime & { madeUp: boolean }>(
    'tasks',
    'schedule.missed',
    'A schedule was due more than a minute ago; whether its run is made up.',
    { ...due, madeUp: { type: 'boolean' } },
  ),
  paused: defineEvent<{ scheduleId: string; schedule: string; reason: string }>(
    'tasks',
    'schedule.paused',
    'A schedule was paused, because its account is gone or lacks the right, or because what it was for is gone.',
    { scheduleId: uuid, schedule: text, reason: text },
  ),
}
