import { randomBytes, randomInt } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { hash, verify } from '@node-rs/argon2'
import { createTurns } from './turns.ts'

/** argon2id with 19 MiB, 2 passes, 1 lane (docs/guarantees.md#passwords). */
const cost = { memoryCost: 19_456, timeCost: 2, parallelism: 1 }
// Half the cores: the other half is left for pulls, whoever tries passwords under however many names.
const runsAtOnce = Math.min(8, Math.max(1, Math.floor(availableParallelism() / 2)))
const mostWaiting = 100

export type Passwords = {
  hash(password: string): Promise<string>
  /** Whether a password is the one of a hash. Without a hash it takes as long and answers false. */
  matches(password: string, passwordHash: string | undefined): Promise<boolean>
  /** Whether a hash was made at another cost than hashes are made now. */
  isOutdated(passwordHash: string): boolean
}

// As hashes begin (PHC string format).
const prefix = `$argon2id$v=19$m=${cost.memoryCost},t=${cost.timeCost},p=${cost.parallelism}$`

/**
 * Hashes passwords, a few at a time: each takes 19 MiB and a core, and pulls must not feel it when many log in. Who would
 * be far back in the queue is refused with 503.
 */
export function createPasswords(): Passwords {
  const inTurn = createTurns({ runsAtOnce, mostWaiting })
  // What unknown names are compared with, so that they take as long as known ones.
  const decoy = hash(randomBytes(16).toString('hex'), cost)
  decoy.catch(() => 'told by the first login under an unknown name')
  return {
    hash: (password) => inTurn(() => hash(password, cost)),
    matches: async (password, passwordHash) => {
      const against = passwordHash ?? (await decoy)
      const same = await inTurn(() => verify(against, password))
      return same && passwordHash !== undefined
    },
    isOutdated: (passwordHash) => !passwordHash.startsWith(prefix),
  }
}

const letters = 'ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789'
const generatedLength = 28

/** A password that is not guessed (over 160 bits), of letters and digits that are not mistaken for each other. */
export function generatePassword(): string {
  return Array.from({ length: generatedLength }, () => letters[randomInt(letters.length)]).join('')
}
