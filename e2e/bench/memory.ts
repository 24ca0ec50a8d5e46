import { randomBytes } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { blobOf, Pusher } from './content.ts'
import type { Subject } from './subjects.ts'

const clients = 50
const blobBytes = 100 << 20

/** The most from now on. */
export function forgetPeak(pid: number): void {
  // proc(5): 5 resets VmHWM to what is resident now.
  writeFileSync(`/proc/${pid}/clear_refs`, '5')
}

/** Resident memory of a process in MiB, now or at most. */
export function memoryOf(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) / 1024
}

/** Resident memory of the standalone process in MiB, before and at most, while 50 clients push 100 MiB each at once. */
export async function measureMemory(berth: Subject): Promise<string> {
  const before = memoryOf(berth.pid, 'VmRSS')
  const blob = blobOf(randomBytes(blobBytes))
  const startedAt = performance.now()
  await Promise.all(
    Array.from({ length: clients }, async (_, i) => {
      const pusher = new Pusher(berth, `bench/memory-${i}`)
      await pusher.login()
      await pusher.pushBlob(blob)
      pusher.close()
    }),
  )
  const seconds = (performance.now() - startedAt) / 1000
  const most = memoryOf(berth.pid, 'VmHWM')
  return [
    '| memory of the standalone process | MiB | goal |',
    '| --- | --- | --- |',
    `| before | ${before.toFixed(0)} | |`,
    `| at most, ${clients} clients pushing ${blobBytes >> 20} MiB at once (${seconds.toFixed(0)} s) | ${most.toFixed(0)} | ≤ 350${most <= 350 ? '' : ', missed'} |`,
  ].join('\n')
}
