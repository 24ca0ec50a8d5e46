/** A part of a service's outbox, as a consumer asks for it that catches up. */
export type OutboxPage = {
  events: { id: string; position: number; subject: string; event: Record<string, unknown> }[]
  tooOld: boolean
  head: number
  jumpedTo?: number
}
