import { readFileSync } from 'node:fs'
import { until } from './processes.ts'

export type Answer = {
  status: number
  // oxlint-disable-next-line typescript/no-explicit-any -- answers of the API, looked into by expectations
  body: any
  headers: Headers
}

/** What the API shows of a task. */
export type TaskView = {
  id: string
  state: 'waiting' | 'running' | 'completed' | 'failed' | 'cancelled'
  progress: { phase: string; done: number; total: number | null; unit: string }[]
  // oxlint-disable-next-line typescript/no-explicit-any -- depends on the kind of the task
  result: any
  error: { code: string; message: string } | null
}

/** Where a Berth runs, and how to get in. */
export type BerthPlace = {
  readonly url: string
  readonly port: number
  readonly home: string
  readonly pid: number
  readonly password: string
  /** The URL of the database, unless it is the embedded one. */
  readonly databaseUrl: string | undefined
  /** The file that has what the program writes to its standard output and standard error. */
  readonly output: string
}

/** A Berth that runs, as a process of its own on a home of its own, and the ways to ask it. */
export type Berth = BerthPlace & {
  /** `localhost:PORT`, as in image names. */
  readonly host: string
  readonly user: 'admin'
  /** Asks `/api/v1` as the administrator, with a JSON body. */
  api(method: string, path: string, body?: unknown): Promise<Answer>
  /** The task once it has ended, however it did. */
  waitForTask(id: string, withinMs?: number): Promise<TaskView>
  /** All that the program has written since it was handed to this test file. */
  logs(): string
}

/** The ways to ask the Berth at a place, which is looked at anew each time: after a restart its process is another one. */
export function askBerth(place: () => BerthPlace, outputFrom = 0): Pick<Berth, 'api' | 'waitForTask' | 'logs'> {
  const api: Berth['api'] = (method, path, body) => ask(`${place().url}/api/v1${path}`, method, place().password, body)
  return {
    api,
    waitForTask: (id, withinMs = 60_000) => waitForTask(api, id, withinMs),
    logs: () => readFileSync(place().output).subarray(outputFrom).toString(),
  }
}

async function ask(url: string, method: string, password: string, body: unknown): Promise<Answer> {
  const response = await fetch(url, {
    method,
    headers: {
      authorization: `Basic ${btoa(`admin:${password}`)}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  const isJson = /json/.test(response.headers.get('content-type') ?? '')
  return { status: response.status, body: isJson && text ? JSON.parse(text) : text, headers: response.headers }
}

async function waitForTask(api: Berth['api'], id: string, withinMs: number): Promise<TaskView> {
  return until(
    `task ${id} ends`,
    async () => {
      const { status, body } = await api('GET', `/tasks/${id}`)
      if (status !== 200) throw new Error(`task ${id}: ${status} ${JSON.stringify(body)}`)
      const task = body as TaskView
      return ['completed', 'failed', 'cancelled'].includes(task.state) ? task : undefined
    },
    withinMs,
  )
}
