import { at, noId, of, type Rows, schedule, webhook } from './row.ts'

/** What tasks answers. */
export const tasksRows: Rows = {
  // tasks: everybody's own
  listTasks: { needs: 'everybody', send: of('GET', at('/tasks')) },
  showTask: { needs: 'everybody', send: of('GET', at(`/tasks/${noId}`)) },
  listTaskLog: { needs: 'everybody', send: of('GET', at(`/tasks/${noId}/log`)) },
  cancelTask: { needs: 'everybody', send: of('POST', at(`/tasks/${noId}/cancel`)) },
  retryTask: { needs: 'everybody', send: of('POST', at(`/tasks/${noId}/retry`)) },
  purgeTasks: {
    needs: 'admin',
    send: of('POST', at('/tasks/purge'), () => ({ states: ['completed'], olderThanDays: 9_999 })),
  },
  watchTask: { needs: 'everybody', send: of('GET', at(`/tasks/${noId}/events`)) },
  // tasks: schedules
  listSchedules: { needs: 'everybody', send: of('GET', at('/schedules')) },
  createSchedule: {
    needs: 'maintainer',
    send: of('POST', at('/schedules'), ({ fresh, repository: name }) => ({
      name: fresh,
      cron: '@daily',
      kind: 'retention',
      parameters: { repository: name },
    })),
  },
  showSchedule: { needs: 'maintainer', send: of('GET', schedule()) },
  updateSchedule: { needs: 'maintainer', send: of('PATCH', schedule(), () => ({ paused: true })) },
  deleteSchedule: { needs: 'maintainer', send: of('DELETE', schedule()) },
  runSchedule: { needs: 'maintainer', send: of('POST', schedule('/run')) },
  listScheduleRuns: { needs: 'maintainer', send: of('GET', schedule('/runs')) },
  watchEvents: { needs: 'everybody', send: of('GET', at('/events?after=none')) },
  listAudit: { needs: 'everybody', send: of('GET', at('/audit')) },
  // tasks: webhooks
  listWebhooks: { needs: 'everybody', send: of('GET', at('/webhooks')) },
  createWebhook: {
    needs: 'maintainer',
    send: of('POST', at('/webhooks'), ({ fresh }) => ({ name: fresh, url: 'https://example.org/', active: false })),
  },
  showWebhook: { needs: 'maintainer', send: of('GET', webhook()) },
  updateWebhook: { needs: 'maintainer', send: of('PATCH', webhook(), () => ({ active: false })) },
  deleteWebhook: { needs: 'maintainer', send: of('DELETE', webhook()) },
  testWebhook: { needs: 'maintainer', send: of('POST', webhook('/test')) },
  listDeliveries: { needs: 'maintainer', send: of('GET', webhook('/deliveries')) },
  // Of none: what is let in gets its own 404, as other rows here do.
  showDelivery: { needs: 'maintainer', send: of('GET', webhook(`/deliveries/${noId}`)) },
  replayDelivery: { needs: 'maintainer', send: of('POST', webhook(`/deliveries/${noId}/replay`)) },
  listDeadLetters: { needs: 'admin', send: of('GET', at('/dead-letters')) },
  showDeadLetter: { needs: 'admin', send: of('GET', at(`/dead-letters/auth:x:${noId}`)) },
  replayDeadLetter: { needs: 'admin', send: of('POST', at(`/dead-letters/auth:x:${noId}/replay`)) },
}
