import type { CatalogCommands, CommandClient, RequiredSignatures } from '@berth/commands'
import type { Requirement } from '@berth/signatures'
import type { Remote } from '../db/generated/client.ts'
import type { SignaturePolicy } from '../remotes/fields.ts'

/** Whose signatures are required, and where the remote says that simple ones lie. */
export type UpstreamRequirement = Requirement & Pick<SignaturePolicy, 'sigstore'>

/**
 * What content of a remote has to be signed with to come into a repository, by id or name, which need not be there yet: each of
 * these has to be met. Where simple signatures lie only the remote says.
 */
export async function requirementsOf(
  catalog: CommandClient<CatalogCommands>,
  remote: Remote,
  repository: string,
  signal: AbortSignal,
): Promise<UpstreamRequirement[]> {
  const own = remote.signatures as SignaturePolicy | null
  const { signatures: theirs } = await catalog.call('find-required-signatures', { repository }, { signal })
  const requirement = (of: Requirement['of'], policy: RequiredSignatures | null): UpstreamRequirement[] =>
    policy?.require
      ? [{ of, keys: policy.keys, ...(own?.sigstore === undefined ? {} : { sigstore: own.sigstore }) }]
      : []
  return [...requirement('remote', own), ...requirement('repository', theirs)]
}
