import { afterAll, beforeAll, describe, test } from '@jest/globals'
import { missingPrograms } from '../servers/programs.ts'
import { startDockerRegistry, type Upstream } from '../servers/upstream.ts'
import { conformanceSuite } from './suite.ts'
import { abilities, type Target } from './wire.ts'

/** An oracle: what another registry has done for years must pass our suite too, or the suite is wrong. */
const supports = Object.fromEntries(abilities.map((ability) => [ability, false])) as Target['supports']

if (missingPrograms('docker-registry').length === 0) {
  let registry: Upstream | undefined
  beforeAll(async () => {
    registry = await startDockerRegistry()
  }, 90_000)
  afterAll(() => registry?.stop(), 30_000)
  const target = () => ({ name: 'docker-registry', url: registry?.url ?? '', headers: {}, supports })
  conformanceSuite('Debian docker-registry, as an oracle', target, supports)
} else {
  // oxlint-disable-next-line jest/no-disabled-tests -- the oracle is not installed, and the report says so
  describe.skip('OCI conformance: docker-registry (skipped: docker-registry missing)', () => {
    test('all of it', () => undefined)
  })
}
