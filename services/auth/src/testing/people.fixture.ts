import { applyMigrations, type Database, openDatabase } from '@berth/service'
import { makeDatabase } from '@berth/service/testing'
import request from 'supertest'
import { schemaParts } from '../db/schema-parts.ts'
import { type ToldObject, writeObject } from '../objects/object.ts'
import { type StartedAuth, startAuth } from './started.fixture.ts'

type Method = 'get' | 'post' | 'patch' | 'delete'
type Login = { name: string; password: string }

const passwordOf = (name: string) => (name === 'admin' ? 'the password of the admin' : `the password of ${name}`)
export const basic = ({ name, password }: Login) => `Basic ${btoa(`${name}:${password}`)}`
export const login = (name: string): Login => ({ name, password: passwordOf(name) })

/** Auth with users, whose passwords follow from their names, and with the objects that a test says there are. */
export type People = StartedAuth & {
  db: Database
  /** Asks the API as a user, or as whoever has another password. */
  ask(as: string | Login, method: Method, path: string, body?: object): request.Test
  /** Makes something as the administrator, and answers it. */
  // oxlint-disable-next-line typescript/no-explicit-any -- what the API answers, looked into by expectations
  make(path: string, body: object): Promise<any>
  /** Grants a role to somebody, as the administrator. */
  grant(to: object, role: string, on: string): Promise<string>
  /** What of some scopes somebody gets a token for. */
  granted(as: string | Login, ...scopes: string[]): Promise<string>
  /** Has auth know an object. */
  told(object: Partial<ToldObject> & { kind: ToldObject['kind']; name: string }): Promise<string>
}

export async function startPeople(...names: string[]): Promise<People> {
  const database = await makeDatabase()
  await applyMigrations({ url: database.url, schema: 'auth', parts: schemaParts })
  const db = openDatabase({ url: database.url, schema: 'auth', max: 2 })
  const auth = await startAuth(database.url, { adminPassword: passwordOf('admin') })
  const ask: People['ask'] = (as, method, path, body) => {
    const { name, password } = typeof as === 'string' ? login(as) : as
    return request(auth.url)[method](`/api/v1${path}`).auth(name, password).send(body)
  }
  const make: People['make'] = async (path, body) => {
    const { status, body: made } = await ask('admin', 'post', path, body)
    if (status !== 201) throw new Error(`POST ${path}: ${status} ${JSON.stringify(made)}`)
    return made
  }
  for (const name of names) await make('/users', login(name))
  return {
    ...auth,
    db,
    ask,
    make,
    grant: async (to, role, on) => (await make('/grants', { to, role, on })).id,
    granted: async (as, ...scopes) => {
      const form = new URLSearchParams(scopes.map((scope) => ['scope', scope]))
      const { name, password } = typeof as === 'string' ? login(as) : as
      const { body } = await request(auth.url).get(`/token?${form}`).auth(name, password).expect(200)
      const { access } = JSON.parse(Buffer.from(body.token.split('.')[1], 'base64url').toString()) as {
        access: { type: string; name: string; actions: string[] }[]
      }
      return access.map((one) => `${one.type}:${one.name}:${one.actions.join()}`).join(' ')
    },
    told: async (object) => {
      const id = object.id ?? crypto.randomUUID()
      await writeObject(db, { ...object, id })
      return id
    },
    stop: async () => {
      await auth.stop()
      await db.close()
      await database.drop()
    },
  }
}
