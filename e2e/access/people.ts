import type { Answer, Berth } from '../berth/berth.ts'
import { until } from '../berth/processes.ts'
import { make } from '../berth/requests.ts'
import type { Login } from '../clients/client.ts'

/** The Authorization header of a user or a robot. */
export const basicOf = ({ user, password }: Login) => `Basic ${btoa(`${user}:${password}`)}`

/** Makes a user and answers its login. */
export async function makeUser(berth: Berth, user: string): Promise<Login> {
  const password = `the password of ${user}`
  await make(berth, '/users', { name: user, password })
  return { user, password }
}

/** Makes a robot and answers its login. */
export async function makeRobot(berth: Berth, name: string, namespace: string): Promise<Login> {
  const { name: user, secret: password } = await make(berth, '/robots', { name, namespace })
  return { user, password }
}

/** Grants a role and answers the id of the grant. */
export async function grant(berth: Berth, to: object, role: string, on: string): Promise<string> {
  return (await make(berth, '/grants', { to, role, on })).id
}

/** Asks the API as somebody. */
export async function apiAs(berth: Berth, login: Login, method: string, path: string, body?: object): Promise<Answer> {
  const headers = { authorization: basicOf(login), 'content-type': 'application/json' }
  const answer = await fetch(`${berth.url}/api/v1${path}`, {
    method,
    headers,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await answer.text()
  return { status: answer.status, body: text === '' ? undefined : JSON.parse(text), headers: answer.headers }
}

/** A token for scopes, as docker asks for one. */
export async function tokenFor(berth: Berth, login: Login, ...scopes: string[]): Promise<string> {
  const query = new URLSearchParams([['service', 'berth'], ...scopes.map((scope) => ['scope', scope])])
  const answer = await fetch(`${berth.url}/token?${query}`, { headers: { authorization: basicOf(login) } })
  if (!answer.ok) throw new Error(`/token: ${answer.status} ${await answer.text()}`)
  return ((await answer.json()) as { token: string }).token
}

/** The actions under a base path that a token gets: what auth decides by what it knows of objects now. */
export async function grantedUnder(berth: Berth, login: Login, basePath: string): Promise<string> {
  const token = await tokenFor(berth, login, `repository:${basePath}:pull,push,delete`)
  const { access } = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as {
    access: { actions: string[] }[]
  }
  return access[0]?.actions.join() ?? ''
}

/** Waits until auth has heard of what was made: then somebody is granted this. */
export async function untilGranted(berth: Berth, login: Login, basePath: string, actions: string): Promise<void> {
  const isGranted = async () => (await grantedUnder(berth, login, basePath)) === actions
  await until(`${login.user} is granted "${actions}" under ${basePath}`, isGranted)
}
