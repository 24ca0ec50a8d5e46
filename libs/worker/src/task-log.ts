import type { TaskLine, TaskLines } from '@berth/commands'
import { redactText } from '@berth/service'

/**
 * Adds a line to the log of a task, which is sent with the next heartbeat or the end. `message` is Berth's own words; what an upstream
 * said goes into `detail`, which not all readers see. Never throws, and waits for nothing.
 */
export type Note = (message: string, more?: { level?: TaskLine['level']; detail?: string }) => void

/** What was noted of one attempt and was not heard by tasks yet. */
export type TaskLog = {
  note: Note
  /** The next lines to be sent, as many as one request takes. */
  next(): TaskLines | undefined
  /** Whether there are lines behind these. */
  hasMoreThan(lines: TaskLines | undefined): boolean
  /** These were heard. */
  sent(lines: TaskLines | undefined): void
}

// As many as tasks keeps of all attempts together (services/tasks/src/log).
const mostLines = 10_000
const linesAtOnce = 250
const longestText = 4_096

/** The log of one attempt at a task, of which at most 10,000 lines are held. */
export function createTaskLog(): TaskLog {
  const waiting: TaskLine[] = []
  let first = 0
  return {
    note: (message, { level = 'info', detail } = {}) => {
      if (first + waiting.length >= mostLines) return
      const line = { at: new Date().toISOString(), level, message: plain(message) }
      waiting.push(detail === undefined ? line : { ...line, detail: plain(detail) })
    },
    next: () => (waiting.length > 0 ? { first, lines: waiting.slice(0, linesAtOnce) } : undefined),
    hasMoreThan: (lines) => waiting.length > (lines?.lines.length ?? 0),
    sent: (lines) => {
      if (!lines) return
      waiting.splice(0, lines.lines.length)
      first += lines.lines.length
    },
  }
}

function plain(text: string): string {
  // Cut after it was looked through, so that no half of a secret is left at the end.
  return redactText(text.slice(0, longestText * 4)).slice(0, longestText)
}
