import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { blobTests } from './blobs.ts'
import { manifestTests } from './manifests.ts'
import { rangeTests } from './ranges.ts'
import { referrerTests } from './referrers.ts'
import { type Target, Wire } from './wire.ts'

/** The OCI conformance checks by their names (docs/protocol.md#conformance), against a registry that runs once the tests begin. */
export function conformanceSuite(name: string, target: () => Target, supports: Target['supports']): void {
  describe(`OCI conformance: ${name}`, () => {
    const repository = `conformance/r${randomBytes(4).toString('hex')}`
    let opened: Wire | undefined
    const wire = () => {
      if (!opened) throw new Error('the registry has not started')
      return opened
    }

    beforeAll(() => {
      opened = new Wire(target())
    })
    afterAll(() => opened?.close())

    test('ping', async () => {
      const reply = await wire().send('GET', '/v2/')
      expect(reply.status).toBe(200)
      expect(reply.headers['docker-distribution-api-version']).toBe('registry/2.0')
    })
    describe('blobs', () => {
      blobTests(wire, `${repository}/blobs`, supports)
      rangeTests(wire, `${repository}/blobs`, supports)
    })
    describe('manifests', () => {
      manifestTests(wire, `${repository}/manifests`, supports)
    })
    if (!supports.referrers) return
    describe('referrers and later additions', () => {
      referrerTests(wire, `${repository}/x/manifests/y`)
    })
  })
}
