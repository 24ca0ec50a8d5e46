import { badField } from '@berth/service'

/** By claim, the values of which a token has to have one. */
export type Conditions = Record<string, string | string[]>

type Claims = Record<string, unknown>

const mostClaims = 20
const mostValues = 100
const longestValue = 500
const withStar: readonly string[] = ['sub', 'ref']
const checkedAnyway: readonly string[] = ['iss', 'aud', 'exp', 'nbf', 'iat']
const inNamespace = /^system:serviceaccount:[^*:]+:/

/**
 * Who makes tokens for everybody, and what tells one of its customers from the next: an id, as names are given away again. Known by the address of
 * the issuer, and where that may be anything by what only its tokens have.
 */
const issuers: {
  name: string
  isIssuer: (url: URL) => boolean
  isToken: (claims: Claims) => boolean
  isBound: (conditions: Conditions) => boolean
  needs: string
}[] = [
  {
    name: 'GitHub',
    isIssuer: ({ hostname, pathname }) =>
      hostname === 'token.actions.githubusercontent.com' || pathname.endsWith('/_services/token'),
    isToken: (claims) => 'repository_owner' in claims,
    isBound: has('repository_id', 'repository_owner_id'),
    needs: 'repository_id or repository_owner_id',
  },
  {
    name: 'GitLab',
    isIssuer: ({ hostname }) => hostname === 'gitlab.com',
    isToken: (claims) => 'project_path' in claims && 'namespace_path' in claims,
    isBound: has('project_id', 'namespace_id'),
    needs: 'project_id or namespace_id',
  },
  {
    name: 'Kubernetes',
    isIssuer: ({ hostname }) =>
      /^kubernetes(\.|$)|^oidc\.eks\.[\w.-]+$|^container\.googleapis\.com$|\.oic\.[\w-]+\.azure\.com$/.test(hostname),
    isToken: (claims) => 'kubernetes.io' in claims,
    isBound: (conditions) =>
      has('kubernetes.io/namespace')(conditions) ||
      (conditions.sub !== undefined && valuesOf(conditions.sub).every((value) => inNamespace.test(value))),
    needs: 'a namespace: kubernetes.io/namespace, or sub as system:serviceaccount:NAMESPACE:NAME',
  },
]

function has(...names: string[]): (conditions: Conditions) => boolean {
  return (conditions) => names.some((name) => Object.hasOwn(conditions, name))
}

/** Checks the conditions that an administrator sends. Throws 400. */
export function checkConditions(issuer: string, conditions: Conditions): void {
  const names = Object.keys(conditions)
  if (names.length === 0 || names.length > mostClaims)
    throw badField(
      'claims',
      `has ${names.length} claims`,
      `Name one, and at most ${mostClaims}: whose tokens are meant?`,
    )
  for (const name of names) checkValues(name, conditions[name] ?? [])
  const url = new URL(issuer)
  const known = issuers.find(({ isIssuer }) => isIssuer(url))
  if (known && !known.isBound(conditions)) throw badField('claims', `need ${known.needs}`, unbound(known.name))
}

function unbound(name: string): string {
  return `Everybody gets tokens of ${name}; names can be given to others later, ids are not.`
}

function checkValues(name: string, given: string | string[]): void {
  const field = `claims.${name}`
  if (checkedAnyway.includes(name))
    throw badField(field, 'is checked anyway', 'Use issuer and audience; times count always.')
  const values = valuesOf(given)
  if (values.length === 0 || values.length > mostValues)
    throw badField(field, `has ${values.length} values`, `Name one, and at most ${mostValues}.`)
  for (const value of values) {
    if (value === '' || value.length > longestValue)
      throw badField(field, `has a value that is empty or longer than ${longestValue} characters`)
    const star = value.indexOf('*')
    if (star >= 0 && !withStar.includes(name))
      throw badField(
        field,
        `has a "*" at character ${star + 1}`,
        'Values are compared whole; only sub and ref take a "*".',
      )
    if (/^\*+$/.test(value)) throw badField(field, 'takes everything', 'Leave it out, or say more.')
  }
}

/** Why a token does not meet the conditions of a trust; `undefined` when it does. */
export function unmet(conditions: Conditions, claims: Claims): string | undefined {
  const strange = issuers.find(({ isToken, isBound }) => isToken(claims) && !isBound(conditions))
  if (strange) return `it is one of ${strange.name}, for which a trust has to name ${strange.needs}`
  const name = Object.keys(conditions).find((one) => !meets(one, valuesOf(conditions[one] ?? []), claimOf(claims, one)))
  return name === undefined ? undefined : `its ${name} is another one`
}

function meets(name: string, values: readonly string[], claim: unknown): boolean {
  if (typeof claim !== 'string' && typeof claim !== 'number' && typeof claim !== 'boolean') return false
  const text = String(claim)
  return values.some((value) => (withStar.includes(name) ? fits(value, text) : value === text))
}

/** A claim by its name; those of Kubernetes lie in one another: `kubernetes.io/serviceaccount/name`. */
function claimOf(claims: Claims, name: string): unknown {
  if (Object.hasOwn(claims, name)) return claims[name]
  if (!name.startsWith('kubernetes.io/')) return undefined
  let value: unknown = claims
  for (const part of name.split('/')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined
    value = (value as Claims)[part]
  }
  return value
}

/** Whether a text is as a pattern says, in which `*` stands for any characters. Looks at each once. */
function fits(pattern: string, text: string): boolean {
  const [first = '', ...rest] = pattern.split('*')
  const last = rest.pop()
  if (last === undefined) return text === first
  if (!text.startsWith(first)) return false
  let place = first.length
  for (const part of rest) {
    const found = text.indexOf(part, place)
    if (found < 0) return false
    place = found + part.length
  }
  return text.length - last.length >= place && text.endsWith(last)
}

function valuesOf(given: string | string[]): string[] {
  return typeof given === 'string' ? [given] : given
}
