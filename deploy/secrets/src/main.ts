import { StartupError } from '@berth/service'
import { fillKubernetesSecret, thisCluster } from './kubernetes-secret.ts'
import { fillSecrets } from './secrets-folder.ts'
import { writeShares } from './shares.ts'

const usage = 'berth secrets FOLDER [SHARES], or berth secrets --kubernetes SECRET'
const [first, second, ...rest] = process.argv.slice(2)

try {
  if (!first || rest.length > 0) throw new StartupError('berth secrets takes a folder', usage)
  if (first === '--kubernetes') {
    if (!second) throw new StartupError('--kubernetes takes the name of a secret', usage)
    tell(`the secret ${second}`, await fillKubernetesSecret(second, thisCluster()))
  } else {
    const { secrets, made } = fillSecrets(first)
    if (second) writeShares(second, secrets)
    tell(first, made)
  }
} catch (error) {
  if (!(error instanceof StartupError)) throw error
  process.stderr.write(`berth secrets: ${error.message}; ${error.remedy}\n`)
  process.exitCode = 1
}

function tell(place: string, made: readonly string[]): void {
  process.stdout.write(made.length > 0 ? `made in ${place}: ${made.join(', ')}\n` : `all is there in ${place}\n`)
}
