import type { AccessObject } from '@berth/access'
import type { AuthCommands, CommandClient } from '@berth/commands'
import { actorOf, type Database, type Handlers, readPage, requireVerb, toPage } from '@berth/service'
import { findNamespace, type Namespace, namespacePage, usageOf } from '../namespaces/find.ts'
import {
  checkNamespace,
  createNamespace,
  defaultNamespace,
  deleteNamespace,
  updateNamespace,
} from '../namespaces/settings.ts'
import type { operations } from '../openapi-types.ts'
import type { ServedGate } from '../served/wait-until-served.ts'
import { parseSelector } from '../settings/label-selector.ts'

function showNamespace({ createdAt, ...row }: Namespace): Record<string, unknown> {
  return { ...row, createdAt: createdAt?.toISOString() ?? null }
}

const everything: AccessObject = { kind: 'settings', name: '' }

/** The API of namespaces, the first segments of repositories' names. */
export function namespaceHandlers(db: Database, gate: ServedGate, auth: CommandClient<AuthCommands>) {
  const show = async (idOrName: string) => {
    const namespace = await findNamespace(db, idOrName)
    return { ...showNamespace(namespace), usage: await usageOf(db, namespace.name) }
  }
  return {
    listNamespaces: async ({ query, principal }) => {
      const page = readPage(query)
      const fitting = await namespacePage(db, page, {
        rights: principal.rights,
        q: query.q,
        labels: typeof query.labels === 'string' ? parseSelector(query.labels) : undefined,
      })
      return { status: 200, body: toPage(fitting.rows, fitting.page, (row) => row.name, showNamespace) }
    },
    createNamespace: async ({ body, principal, requestId }) => {
      const { owner, ...wanted } = body
      const { name } = wanted
      const actor = actorOf(principal)
      const settings = checkNamespace({ ...defaultNamespace, ...wanted })
      await db.transaction(async (sql) => {
        await createNamespace(sql, settings, actor)
        // Before the commit, so that there is no namespace whose owner was refused. Asking again grants no second time.
        if (owner) await auth.call('grant-namespace', { namespace: name, owner, actor }, { requestId })
      })
      await gate.namespace(name)
      return { status: 201, headers: { location: `/api/v1/namespaces/${name}` }, body: await show(name) }
    },
    showNamespace: async ({ params }) => ({ status: 200, body: await show(params.namespace) }),
    updateNamespace: async ({ params, body, principal }) => {
      const changes = checkNamespace(body)
      const what = `change what is set about ${params.namespace}`
      if (changes.buildEgress !== undefined) requireVerb(principal, 'administer', everything, what)
      if (changes.quotaBytes !== undefined) requireVerb(principal, 'administer', everything, what)
      if (changes.defaultAccess === 'public')
        requireVerb(principal, 'publish', { kind: 'namespace', name: params.namespace }, what)
      await db.transaction(async (sql) => {
        const { id, name } = await findNamespace(sql, params.namespace)
        if (id === null) await createNamespace(sql, { ...defaultNamespace, ...changes, name }, actorOf(principal))
        else await updateNamespace(sql, name, changes, actorOf(principal))
      })
      return { status: 200, body: await show(params.namespace) }
    },
    deleteNamespace: async ({ params, principal }) => {
      await db.transaction(async (sql) => {
        const { name } = await findNamespace(sql, params.namespace)
        const hadQuota = await deleteNamespace(sql, name, actorOf(principal))
        // Decided by what went: an administrator may have set one just now.
        if (hadQuota) requireVerb(principal, 'administer', everything, `forget the quota of ${name}`)
      })
      return { status: 204 }
    },
  } satisfies Partial<Handlers<operations>>
}
