// What took longest on two cores, in this order. One of these that begins last has the other core stand still.
const longest = [
  'e2e/nemesis/nemesis.test.ts',
  'e2e/faults/replicas.test.ts',
  'e2e/sync/real-upstreams.test.ts',
  'e2e/repositories/unsettled-rollbacks.test.ts',
  'e2e/start/bad-start.test.ts',
  'e2e/push/collected.test.ts',
  'e2e/faults/services-stopped.test.ts',
  'e2e/hostile/parameters.test.ts',
  'e2e/repositories/isolated.test.ts',
  'e2e/pages/backup.test.ts',
  'e2e/on-demand/replicas.test.ts',
  // Not before its images may be made.
  'e2e/compose/compose.test.ts',
  'e2e/sync/killed.test.ts',
  'e2e/start/store-identity.test.ts',
  'e2e/openapi/clients.test.ts',
  'e2e/automation/killed-workers.test.ts',
  'e2e/automation/locks.test.ts',
  'e2e/automation/audited-changes.test.ts',
]

/** Has jest begin with what takes longest, then with what is driven from outside; the short ones fill what is left. */
export default class LongestFirst {
  /** @param {readonly { path: string; context: { config: { rootDir: string } } }[]} tests */
  sort(tests) {
    const nameOf = ({ path, context }) => path.slice(context.config.rootDir.length + 1)
    const rankOf = (name) => {
      const place = longest.indexOf(name)
      if (place >= 0) return place
      return longest.length + (name.startsWith('e2e/') ? 0 : 1)
    }
    return [...tests].sort((a, b) => rankOf(nameOf(a)) - rankOf(nameOf(b)) || (nameOf(a) < nameOf(b) ? -1 : 1))
  }

  shard(tests) {
    return tests
  }

  allFailedTests(tests) {
    return tests
  }

  cacheResults() {
    // The order is the same whatever was measured here.
  }
}
