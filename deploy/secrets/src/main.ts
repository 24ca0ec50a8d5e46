import { StartupError } from '@berth/service'
import { fillSecrets } from './secrets-folder.ts'
import { writeShares } from './shares.ts'

const [folder, sharesFolder, ...rest] = process.argv.slice(2)

try {
  if (!folder || rest.length > 0)
    throw new StartupError('berth secrets takes a folder', 'berth secrets FOLDER [SHARES]')
  const { secrets, made } = fillSecrets(folder)
  if (sharesFolder) writeShares(sharesFolder, secrets)
  process.stdout.write(made.length > 0 ? `made in ${folder}: ${made.join(', ')}\n` : `all is there in ${folder}\n`)
} catch (error) {
  if (!(error instanceof StartupError)) throw error
  process.stderr.write(`berth secrets: ${error.message}; ${error.remedy}\n`)
  process.exitCode = 1
}
