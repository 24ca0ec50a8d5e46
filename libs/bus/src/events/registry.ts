import { defineEvent } from './event.ts'
import { count, text, uuid } from './fields.ts'

export const uploadExpired = defineEvent<{ sessionId: string; basePath: string; bytes: number }>(
  'registry',
  'upload.expired',
  'An upload that was begun and not ended was forgotten, with its bytes: nothing came for a day.',
  { sessionId: uuid, basePath: text, bytes: count },
)
