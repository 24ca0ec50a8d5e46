import { createWriteStream } from 'node:fs'
import path from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ReadableStream } from 'node:stream/web'
import { expect } from '@jest/globals'
import type { Berth, TaskView } from '../berth/berth.ts'
import { basic } from '../berth/requests.ts'

/** What the task of an export tells at its end. */
export type Exported = {
  exportId: string
  repositories: number
  blobs: number
  bytes: number
  archiveDigest: string
  archiveBytes: number
  parts: number
}

/** Asks for an export and answers its task once it has ended. */
export async function askForExport(stack: Berth, body: object): Promise<TaskView> {
  const answer = await stack.api('POST', '/exports', body)
  expect({ status: answer.status, body: answer.body }).toMatchObject({ status: 202 })
  return stack.waitForTask(answer.body.id)
}

/** Exports; it must come to its end. */
export async function exported(stack: Berth, body: object): Promise<Exported> {
  const task = await askForExport(stack, body)
  expect(task).toMatchObject({ state: 'completed', error: null })
  return task.result as Exported
}

/** Saves a download as a file in a folder, and answers its place. */
export async function save(stack: Berth, exportId: string, folder: string, name: string): Promise<string> {
  const file = path.join(folder, name)
  const answer = await fetch(`${stack.url}/api/v1/exports/${exportId}/download`, {
    headers: { authorization: basic(stack) },
  })
  expect(answer.status).toBe(200)
  await pipeline(Readable.fromWeb(answer.body as ReadableStream), createWriteStream(file))
  return file
}
