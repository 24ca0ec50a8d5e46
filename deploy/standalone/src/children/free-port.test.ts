import { expect, test } from '@jest/globals'
import { freePort } from './free-port.ts'

test('ports that are asked for together are different ones, before any of them is used', async () => {
  const ports: number[] = []
  while (ports.length < 1_000) ports.push(await freePort())
  expect(new Set(ports).size).toBe(ports.length)
})
