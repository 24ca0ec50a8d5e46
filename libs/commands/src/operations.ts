/** A service whose API does what schedules ask for. */
export type OperationCommands = {
  /**
   * Calls an operation of the service's API for an account, as if it had sent the request itself: with its rights of this moment. Without an
   * account it is Berth that asks. The same `taskId` again is the same task. Throws what the API answers; 403 `account_gone` where there is
   * no such account any more, 422 for parameters that are none. `checkOnly`: nothing is done.
   */
  'call-operation': {
    request: {
      operationId: string
      params: Record<string, string>
      body: unknown
      accountId: string | null
      taskId: string
      checkOnly?: boolean
    }
    reply: { status: number; body: unknown }
  }
}
