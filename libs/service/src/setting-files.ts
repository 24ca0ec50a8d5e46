import { readFileSync } from 'node:fs'

const secretVariables = new Set(
  `ADMIN_FIRST_PASSWORD ADMIN_PASSWORD DATABASE_PASSWORD DATABASE_URL EXPORT_SIGNING_KEY IMPORT_TRUSTED_KEYS METRICS_TOKEN NATS_SEED NATS_URL S3_ACCESS_KEY S3_SECRET_KEY
  SECRETS_KEY SECRETS_PREVIOUS_KEYS SERVICE_PRIVATE_KEY SERVICE_PUBLIC_KEYS`
    .split(/\s+/)
    .map((name) => `BERTH_${name}`),
)

/** The variables that name a file with a secret: each stands for the one without `_FILE`. */
export const fileVariables: readonly string[] = [...secretVariables].map((name) => `${name}_FILE`)

/** What a setting is given by: its variable or, for a secret, the file that its variable with `_FILE` behind it names. */
export function givenValue(name: string, env: NodeJS.ProcessEnv): { value?: string | undefined; fault?: string } {
  // A secret that was made of a file often ends with the line's end, which nobody sees where it is refused.
  const value = env[name]?.replace(/[\r\n]+$/, '')
  const variable = `${name}_FILE`
  const file = secretVariables.has(name) ? env[variable] : undefined
  if (!file) return { value }
  if (value) return { fault: `${name} and ${variable} are both set; take one of them away` }
  try {
    const text = readFileSync(file, 'utf8').trim()
    return text === '' ? { fault: `${variable}=${file} is an empty file` } : { value: text }
  } catch (error) {
    return { fault: `${variable}=${file} cannot be read by this user (${(error as NodeJS.ErrnoException).code})` }
  }
}

/** An environment for a service that is given `names` by another one: without the files that would stand for them. */
export function withoutFilesOf(names: readonly string[]): NodeJS.ProcessEnv {
  return Object.fromEntries(names.filter((name) => secretVariables.has(name)).map((name) => [`${name}_FILE`, '']))
}
