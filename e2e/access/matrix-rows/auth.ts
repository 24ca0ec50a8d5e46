import { at, enc, grant, noId, of, type Rows, robot } from './row.ts'

/** What auth answers. */
export const authRows: Rows = {
  // auth: accounts
  showMe: { needs: 'everybody', send: of('GET', at('/me')) },
  updateMe: {
    needs: 'everybody',
    send: of('PATCH', at('/me'), () => ({ password: 'another good password', currentPassword: 'wrong' })),
  },
  // auth: identity providers
  listOidcLogins: { needs: 'anybody', send: of('GET', at('/oidc')) },
  beginOidcLogin: { needs: 'anybody', send: of('GET', at('/oidc/none/login')) },
  endOidcLogin: { needs: 'anybody', send: of('GET', at('/oidc/none/callback?state=x&code=y')) },
  listIdentityProviders: { needs: 'admin', send: of('GET', at('/identity-providers')) },
  createIdentityProvider: {
    needs: 'admin',
    send: of('POST', at('/identity-providers'), ({ fresh }) => ({
      name: fresh.replace('/', '-'),
      issuer: 'https://localhost:1',
      clientId: 'berth',
    })),
  },
  showIdentityProvider: { needs: 'admin', send: of('GET', at('/identity-providers/none')) },
  updateIdentityProvider: { needs: 'admin', send: of('PATCH', at('/identity-providers/none'), () => ({})) },
  deleteIdentityProvider: { needs: 'admin', send: of('DELETE', at('/identity-providers/none')) },
  // auth: trusts
  listTrusts: { needs: 'admin', send: of('GET', at('/trusts')) },
  createTrust: {
    needs: 'admin',
    send: of('POST', at('/trusts'), ({ fresh, robot: name }) => ({
      name: fresh.replace('/', '-'),
      issuer: 'https://issuer.example',
      audience: 'berth',
      claims: { sub: 'a' },
      robot: name,
    })),
  },
  showTrust: { needs: 'admin', send: of('GET', at('/trusts/none')) },
  updateTrust: { needs: 'admin', send: of('PATCH', at('/trusts/none'), () => ({})) },
  deleteTrust: { needs: 'admin', send: of('DELETE', at('/trusts/none')) },
  // auth: logins of people
  openSession: {
    needs: 'anybody',
    send: of('POST', at('/sessions'), () => ({ name: 'nobody-at-all', password: 'x' })),
  },
  showSession: { needs: 'everybody', send: of('GET', at('/sessions/current')) },
  closeSession: { needs: 'everybody', send: of('DELETE', at('/sessions/current')) },
  listSessions: { needs: 'everybody', send: of('GET', at('/me/sessions')) },
  deleteSession: { needs: 'everybody', send: of('DELETE', at(`/me/sessions/${noId}`)) },
  listTokens: { needs: 'everybody', send: of('GET', at('/me/tokens')) },
  createToken: {
    needs: 'everybody',
    send: of('POST', at('/me/tokens'), ({ fresh }) => ({ name: fresh.replace('/', '-') })),
  },
  deleteToken: { needs: 'everybody', send: of('DELETE', at(`/me/tokens/${noId}`)) },
  showPermissions: { needs: 'everybody', send: of('GET', at('/me/permissions')) },
  listUsers: { needs: 'admin', send: of('GET', at('/users')) },
  createUser: {
    needs: 'admin',
    send: of('POST', at('/users'), ({ fresh }) => ({
      name: fresh.replace('/', '-'),
      password: 'another good password',
    })),
  },
  showUser: { needs: 'admin', send: of('GET', ({ user }) => `/users/${user}`) },
  updateUser: {
    needs: 'admin',
    send: of(
      'PATCH',
      ({ user }) => `/users/${user}`,
      () => ({ active: true }),
    ),
  },
  deleteUser: { needs: 'admin', send: of('DELETE', ({ user }) => `/users/${user}`) },
  listGroups: { needs: 'admin', send: of('GET', at('/groups')) },
  createGroup: { needs: 'admin', send: of('POST', at('/groups'), ({ fresh }) => ({ name: fresh.replace('/', '-') })) },
  showGroup: { needs: 'admin', send: of('GET', ({ group }) => `/groups/${group}`) },
  updateGroup: {
    needs: 'admin',
    send: of(
      'PATCH',
      ({ group }) => `/groups/${group}`,
      () => ({ members: [] }),
    ),
  },
  deleteGroup: { needs: 'admin', send: of('DELETE', ({ group }) => `/groups/${group}`) },
  // auth: robots
  listRobots: { needs: 'everybody', send: of('GET', at('/robots')) },
  createRobot: [
    {
      needs: 'owner',
      send: of('POST', at('/robots'), ({ fresh, namespace }) => ({ name: fresh.split('/')[1], namespace })),
    },
    {
      part: 'one without a namespace',
      needs: 'admin',
      send: of('POST', at('/robots'), ({ fresh }) => ({ name: fresh.replace('/', '-') })),
    },
  ],
  showRobot: { needs: 'owner', send: of('GET', robot()) },
  updateRobot: { needs: 'owner', send: of('PATCH', robot(), () => ({ description: 'x' })) },
  deleteRobot: { needs: 'owner', send: of('DELETE', robot()) },
  rotateRobot: { needs: 'owner', send: of('POST', robot('/rotate'), () => ({})) },
  // auth: roles and grants
  listRoles: { needs: 'everybody', send: of('GET', at('/roles')) },
  createRole: {
    needs: 'admin',
    send: of('POST', at('/roles'), ({ fresh }) => ({ name: fresh.replace('/', '-'), verbs: ['read'] })),
  },
  showRole: { needs: 'everybody', send: of('GET', at('/roles/puller')) },
  updateRole: {
    needs: 'admin',
    send: of(
      'PATCH',
      ({ role }) => `/roles/${role}`,
      () => ({ verbs: ['read'] }),
    ),
  },
  deleteRole: { needs: 'admin', send: of('DELETE', ({ role }) => `/roles/${role}`) },
  listGrants: { needs: 'everybody', send: of('GET', at('/grants')) },
  createGrant: [
    {
      needs: 'owner',
      send: of('POST', at('/grants'), ({ user, repository: name }) => ({
        to: { user },
        role: 'pusher',
        on: `repository:${name}`,
      })),
    },
    {
      part: 'on everything',
      needs: 'admin',
      send: of('POST', at('/grants'), ({ user }) => ({ to: { user }, role: 'puller', on: '*' })),
    },
  ],
  showGrant: { needs: 'owner', send: of('GET', grant) },
  updateGrant: { needs: 'owner', send: of('PATCH', grant, () => ({ role: 'pusher' })) },
  deleteGrant: { needs: 'owner', send: of('DELETE', grant) },
  checkAccess: {
    needs: 'everybody',
    send: of('GET', ({ repository: name }) => `/access/check?action=pull&on=${enc(`repository:${name}`)}`),
  },
  // auth: keys
  listKeys: { needs: 'anybody', send: of('GET', at('/keys')) },
  rotateKeys: { needs: 'admin', send: of('POST', at('/keys/rotate')) },
}
