import { chmod, chown, mkdir, realpath, rm } from 'node:fs/promises'
import path from 'node:path'
import { freePort } from '../children/free-port.ts'
import { superuser } from './postgres-data.ts'
import type { PostgresProgram } from './postgres-program.ts'

/** Where PostgreSQL is reached: at a socket in a folder that only its user may enter, or on a port of 127.0.0.1. */
export type PostgresAddress = { socketFolder: string } | { port: number }

// A path of a socket has 108 bytes on Linux, with its name and the zero at its end.
const longestPathBytes = 100
// It is part of the socket's name, and of that alone.
const socketPort = 5432
const socketName = `.s.PGSQL.${socketPort}`

/**
 * Chooses the address for a server on `HOME/postgres/data`. A socket costs a sixth less of everything that Berth does than a
 * connection by TCP does; where its path is too long, or the system is not Linux, it is a port that is free now.
 */
export async function chooseAddress(
  dataFolder: string,
  { runAs }: Pick<PostgresProgram, 'runAs'>,
): Promise<PostgresAddress> {
  const parent = path.dirname(dataFolder)
  const socketFolder = path.join(parent, 'socket')
  // The server finds the folder beside the one that it stands in, as decision 0008 has it find its data. Where the data were moved
  // away and a link left in their place, there is none beside it.
  const isBeside = (await realpath(path.join(dataFolder, '..'))) === path.dirname(await realpath(dataFolder))
  const isReachable = Buffer.byteLength(path.join(socketFolder, socketName)) <= longestPathBytes
  if (process.platform !== 'linux' || !isBeside || !isReachable) return { port: await freePort() }
  await mkdir(socketFolder, { recursive: true, mode: 0o700 })
  if (runAs) await chown(socketFolder, runAs.uid, runAs.gid)
  await chmod(socketFolder, 0o700)
  return { socketFolder }
}

/** The settings of PostgreSQL that have it listen there, and nowhere else. */
export function listenSettings(address: PostgresAddress): Record<string, string | number> {
  if ('port' in address) return { listen_addresses: '127.0.0.1', port: address.port, unix_socket_directories: '' }
  return { listen_addresses: '', port: socketPort, unix_socket_directories: '../socket' }
}

/** The URL of the database `berth` there. */
export function urlAt(address: PostgresAddress, password: string): string {
  if ('port' in address) return `postgresql://${superuser}:${password}@127.0.0.1:${address.port}/berth`
  const place = encodeURIComponent(address.socketFolder)
  return `postgresql://${superuser}:${password}@localhost:${socketPort}/berth?host=${place}`
}

/**
 * Removes what a server that was killed has left of its socket; call it when none works on the data any more. PostgreSQL refuses
 * a socket whose lock names a pid that another process has by now.
 */
export async function clearSocket(address: PostgresAddress): Promise<void> {
  if ('port' in address) return
  for (const name of [socketName, `${socketName}.lock`])
    await rm(path.join(address.socketFolder, name), { force: true })
}
