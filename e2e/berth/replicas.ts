import { readFileSync } from 'node:fs'
import path from 'node:path'
import { programOf } from '@berth/service/testing'
import { freePort } from '@berth/standalone/children'
import type { ServiceName } from '@berth/standalone/origin'
import { answers, startServerProcess } from '../servers/server-process.ts'
import type { TestStack } from './stack.ts'

/** A further replica of a service on the database, the blob store and the peers of a stack that runs as processes. */
export type Replica = {
  port: number
  url: string
  internalUrl: string
  pid: number
  log(): string
  stop(): Promise<void>
}

/** The pid of a service of a stack that was started with BERTH_PROCESSES. */
export function pidOf(stack: TestStack, service: ServiceName): number {
  const pid = childPid(stack, `berth-${service}`)
  if (!pid) throw new Error(`${service} does not run as a process of its own; start the stack with BERTH_PROCESSES`)
  return pid
}

/** The pid of a server that the stack runs, by the name it is recorded under. */
export function childPid(stack: TestStack, name: string): number | undefined {
  const { children } = JSON.parse(readFileSync(path.join(stack.home, 'children.json'), 'utf8')) as {
    children: { name: string; pid: number }[]
  }
  return children.find((child) => child.name === name)?.pid
}

/** What a service was started with. Linux only. */
export function environmentOf(pid: number): Record<string, string> {
  const pairs = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').filter(Boolean)
  return Object.fromEntries(pairs.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]))
}

/** The port of the registry that the stack itself runs. */
export function registryPort(stack: TestStack): number {
  return Number(environmentOf(pidOf(stack, 'registry')).BERTH_PORT)
}

/**
 * Starts a second replica of a service beside that of the stack, with the same settings but its own ports. It outlives the
 * stack.
 */
export async function startReplica(stack: TestStack, service: ServiceName = 'registry'): Promise<Replica> {
  const [port, internalPort] = [await freePort(), await freePort()]
  const url = `http://localhost:${port}`
  const internalUrl = `http://127.0.0.1:${internalPort}`
  const server = await startServerProcess({
    name: `${service}-replica`,
    program: process.execPath,
    args: () => [programOf(service)],
    env: {
      ...environmentOf(pidOf(stack, service)),
      BERTH_PORT: String(port),
      BERTH_INTERNAL_PORT: String(internalPort),
      BERTH_INTERNAL_URL: internalUrl,
    },
    isReady: () => answers(`${url}/readyz`, 200),
  })
  return { port, url, internalUrl, pid: server.pid, log: () => server.log(), stop: () => server.stop() }
}
