import { type AccessObject, type Decision, decide, isVerb, type Rights, roleWith, verbs } from '@berth/access'
import { badField, type Database, type Handlers, type Principal, Problem } from '@berth/service'
import { rightsOf, verbsOf } from '../access/rights.ts'
import { accountsByName } from '../accounts/account.ts'
import { writtenOn } from '../grants/grant-row.ts'
import { listHeld } from '../grants/list-grants.ts'
import { readObject } from '../grants/target.ts'
import { findHolder, readHolder } from '../holders/holder.ts'
import { findObject, isCopied } from '../objects/object.ts'
import type { operations } from '../openapi-types.ts'

/** Whether everybody may pull what is served under a base path. */
export type IsPublic = (basePath: string) => Promise<boolean>

/** What an account may do, and why: the API that answers questions about rights. */
export function accessHandlers(db: Database, isPublic: IsPublic) {
  return {
    checkAccess: async ({ query, principal }) => {
      const { who, action, on } = query
      if (!isVerb(action))
        throw badField('action', `"${action}" is no verb`, `The verbs are ${Object.keys(verbs).join(', ')}.`)
      const asked = readObject(on)
      const object = isCopied(asked.kind) ? ((await findObject(db, asked.kind, asked.name)) ?? asked) : asked
      const rights = who === undefined ? principal.rights : await rightsOfOther(principal, who, object)
      const decision = decide(rights, action, object)
      // Looked at whether there is such a distribution or not, so that both take as long.
      const canBePublic =
        !decision.allowed && object.kind === 'distribution' && (action === 'read' || action === 'pull')
      const decided = canBePublic
        ? decide(rights, action, { ...object, isPublic: await isPublic(object.name) })
        : decision
      return { status: 200, body: showDecision(decided) }
    },
    showPermissions: async ({ principal }) => {
      const { name, admin } = principal
      const held = await listHeld(db, principal.id)
      const grants = held.map((row) => ({
        id: row.id,
        through: row.holderKind === 'group' ? row.holderName : null,
        role: row.role,
        verbs: [...verbsOf(row)],
        on: writtenOn(row),
      }))
      return { status: 200, body: { name, admin, grants } }
    },
  } satisfies Partial<Handlers<operations>>

  /** The rights of somebody else: told to whoever may see accounts, or grants on the object. */
  async function rightsOfOther(principal: Principal, who: string, object: AccessObject): Promise<Rights> {
    const [kind, name] = readHolder('who', who, ['user', 'robot'])
    const isSelf = name === principal.name
    const may = (verb: 'account.read' | 'grant') => decide(principal.rights, verb, object).allowed
    const seesAccounts = principal.rights.grants.some((grant) => 'all' in grant && grant.verbs.includes('account.read'))
    if (!isSelf && !seesAccounts && !may('grant'))
      throw new Problem(403, 'not_allowed', `${principal.name} may not ask what others may do there.`, {
        hint: 'Ask an owner. Without "who" the answer is about yourself.',
        more: { missing: { verb: 'grant', role: roleWith('grant') } },
      })
    const holder = await findHolder(db, kind, name)
    // The name may be that of another account since the caller was recognised.
    if (isSelf) return principal.rights
    const [account] = await accountsByName(db, [holder.name])
    return account ? rightsOf(db, account) : { accountId: null, grants: [] }
  }
}

function showDecision(decision: Decision) {
  if (decision.allowed) return { allowed: true, because: decision.because }
  const { missing: verb } = decision
  return { allowed: false, because: null, missing: { verb, role: roleWith(verb) } }
}
