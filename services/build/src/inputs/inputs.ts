import type { StoredBlob } from '@berth/commands'
import type { Digest } from '@berth/oci'
import type { Sealer, Sql } from '@berth/service'
import type { BuildForm } from '../form/fields.ts'

/** What a build works with, until it has ended. */
export type BuildInput = {
  containerfile: string
  buildArgs: Map<string, string>
  labels: Map<string, string>
  sourceDateEpoch: number
  host: string
  context: StoredBlob | null
  secrets: Map<string, string>
}

const sealedFor = (buildId: string) => `build ${buildId} secrets`

/** Keeps what a build works with; its secrets sealed. */
export async function keepInput(
  sql: Sql,
  sealer: Sealer,
  { buildId, form, host, context }: { buildId: string; form: BuildForm; host: string; context: StoredBlob | null },
): Promise<void> {
  const secrets = form.secrets.size === 0 ? null : sealer.seal(JSON.stringify([...form.secrets]), sealedFor(buildId))
  await sql.query(
    `insert into build_input (build_id, containerfile, build_args, labels, source_date_epoch, host, context_digest,
       context_generation, context_bytes, secrets_sealed)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
    [
      buildId,
      form.containerfile,
      JSON.stringify(Object.fromEntries(form.buildArgs)),
      JSON.stringify(Object.fromEntries(form.labels)),
      form.sourceDateEpoch,
      host,
      context?.digest ?? null,
      context?.generation ?? null,
      context?.sizeBytes ?? null,
      secrets,
    ],
  )
}

type Row = {
  containerfile: string
  buildArgs: Record<string, string>
  labels: Record<string, string>
  sourceDateEpoch: number
  host: string
  contextDigest: Digest | null
  contextGeneration: number | null
  contextBytes: number | null
  secretsSealed: Buffer | null
}

/** What a build works with; `undefined` once it has ended. */
export async function readInput(sql: Sql, sealer: Sealer, buildId: string): Promise<BuildInput | undefined> {
  const [row] = await sql.query<Row>(
    `select containerfile, build_args as "buildArgs", labels, source_date_epoch as "sourceDateEpoch", host,
       context_digest as "contextDigest", context_generation as "contextGeneration", context_bytes as "contextBytes",
       secrets_sealed as "secretsSealed"
     from build_input
     where build_id = $1`,
    [buildId],
  )
  if (!row) return undefined
  const { contextDigest, contextGeneration, contextBytes, secretsSealed } = row
  return {
    containerfile: row.containerfile,
    buildArgs: new Map(Object.entries(row.buildArgs)),
    labels: new Map(Object.entries(row.labels)),
    sourceDateEpoch: row.sourceDateEpoch,
    host: row.host,
    context:
      contextDigest === null
        ? null
        : { digest: contextDigest, generation: contextGeneration ?? 0, sizeBytes: contextBytes ?? 0 },
    secrets: new Map(
      secretsSealed === null ? [] : (JSON.parse(sealer.open(secretsSealed, sealedFor(buildId))) as [string, string][]),
    ),
  }
}

/** Forgets what a build worked with. */
export async function dropInput(sql: Sql, buildId: string): Promise<void> {
  await sql.query('delete from build_input where build_id = $1', [buildId])
}
