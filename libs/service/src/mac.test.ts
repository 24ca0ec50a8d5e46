import { createHmac, randomBytes } from 'node:crypto'
import { expect, test } from '@jest/globals'
import { createMac } from './mac.ts'

test('it is HMAC-SHA-256, for keys and messages of any length', () => {
  for (const keyBytes of [0, 1, 32, 63, 64])
    for (const messageBytes of [0, 1, 55, 64, 1_000]) {
      const [key, message] = [randomBytes(keyBytes), randomBytes(messageBytes)]
      expect(createMac(key)(message)).toEqual(createHmac('sha256', key).update(message).digest())
    }
})
