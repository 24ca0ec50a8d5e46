/** Where SQL can be run: a pool or an open transaction. Answers the rows. */
export type Sql = {
  query<Row extends object = Record<string, unknown>>(text: string, values?: readonly unknown[]): Promise<Row[]>
  /** Runs a statement under a name that the server prepares once a connection. For hot paths. */
  prepared<Row extends object = Record<string, unknown>>(
    name: string,
    text: string,
    values: readonly unknown[],
  ): Promise<Row[]>
}
