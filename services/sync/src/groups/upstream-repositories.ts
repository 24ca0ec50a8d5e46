import { isRepositoryName, parseRepositoryPattern } from '@berth/oci'
import type { RegistryClient } from '@berth/registry-client'

/** A repository of a remote, and where it goes. */
export type Pair = { upstreamName: string; target: string }

/**
 * The repositories that a remote covers: those it names, and those of upstream's catalog that its patterns fit. The catalog is
 * asked for only where there is a pattern. Names that are not valid here (too long with their prefix) are left to
 * `refused`. `isComplete`: whether the catalog was read to its proven end.
 */
export async function listRepositories(
  client: RegistryClient,
  { upstreamNames, targetPrefix }: { upstreamNames: readonly string[]; targetPrefix: string },
  signal: AbortSignal,
): Promise<{ pairs: Pair[]; refused: string[]; isComplete: boolean }> {
  const patterns = upstreamNames.map(parseRepositoryPattern)
  const names = new Set(upstreamNames.filter((_name, i) => patterns[i]?.isExact))
  const globs = patterns.filter((pattern) => !pattern.isExact)
  let isComplete = true
  if (globs.length > 0)
    for await (const page of client.catalog(signal, () => (isComplete = false)))
      for (const name of page) if (globs.some((glob) => glob.matches(name))) names.add(name)
  const all = [...names].sort().map((upstreamName) => ({
    upstreamName,
    target: targetPrefix === '' ? upstreamName : `${targetPrefix}/${upstreamName}`,
  }))
  const isGood = ({ upstreamName, target }: Pair) => isRepositoryName(upstreamName) && isRepositoryName(target)
  const refused = all.filter((pair) => !isGood(pair)).map((pair) => pair.upstreamName)
  return { pairs: all.filter(isGood), refused, isComplete }
}
