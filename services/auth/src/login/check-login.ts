import type { Database } from '@berth/service'
import type { Account } from '../accounts/account.ts'
import { isPersonalToken, logInByPersonalToken } from '../personal-tokens/personal-token.ts'
import { logInRobot } from '../robots/log-in.ts'
import { isRobotSecret } from '../robots/robot.ts'
import { isForeignToken, type LogInByTrust } from '../trusts/log-in.ts'
import type { CheckPassword } from './check-password.ts'

/** Whom a name and what is sent as its password let in. Throws as `CheckPassword`. */
export type CheckLogin = (name: string, password: string, ip: string) => Promise<Account | undefined>

const longestName = 1_024

/**
 * Checks a name with a password, the secret of a robot, or a personal token; and the name of a trust with a token of its issuer. Throws 502 or
 * 503 where that has to be asked and does not answer.
 */
export function createCheckLogin(
  db: Database,
  { checkPassword, trusts, externalDays }: { checkPassword: CheckPassword; trusts: LogInByTrust; externalDays: number },
): CheckLogin {
  return async (name, password, ip) => {
    if (name.length > longestName || name.includes('\0')) return undefined
    if (isForeignToken(password)) {
      const login = await trusts.named(name, password)
      if (login) return login.account
    }
    const account = await bySecret(name, password)
    // Else it may be a password that only looks like a secret, and a wrong one takes as long as any.
    return account ?? checkPassword(name, password, ip)
  }

  async function bySecret(name: string, secret: string): Promise<Account | undefined> {
    if (isRobotSecret(secret)) return logInRobot(db, name, secret)
    return isPersonalToken(secret) ? logInByPersonalToken(db, { name, secret, externalDays }) : undefined
  }
}
