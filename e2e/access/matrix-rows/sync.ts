import { at, noId, of, type Rows, remote } from './row.ts'

/** What sync answers. */
export const syncRows: Rows = {
  // sync
  listRemotes: { needs: 'everybody', send: of('GET', at('/remotes')) },
  createRemote: [
    {
      needs: 'owner',
      send: of('POST', at('/remotes'), ({ fresh }) => ({ name: fresh, url: 'https://registry.example' })),
    },
    {
      part: 'one that may go to private addresses',
      needs: 'admin',
      send: of('POST', at('/remotes'), ({ fresh }) => ({
        name: fresh,
        url: 'https://registry.example',
        allowPrivateAddresses: true,
      })),
    },
  ],
  rotateRemoteKeys: { needs: 'admin', send: of('POST', at('/remotes/rotate-keys')) },
  showRemote: { needs: 'maintainer', send: of('GET', remote()) },
  updateRemote: [
    { needs: 'owner', send: of('PATCH', remote(), () => ({ retries: 1 })) },
    { part: 'its TLS', needs: 'admin', send: of('PATCH', remote(), () => ({ tlsValidation: false })) },
  ],
  deleteRemote: { needs: 'owner', send: of('DELETE', remote()) },
  checkRemote: { needs: 'owner', send: of('POST', remote('/check')) },
  listSyncs: { needs: 'everybody', send: of('GET', at('/syncs')) },
  startSync: {
    needs: 'maintainer',
    send: of('POST', at('/syncs'), (things) => ({
      remote: things.remote,
      repository: things.repository,
      dryRun: true,
    })),
  },
  showSync: { needs: 'everybody', send: of('GET', at(`/syncs/${noId}`)) },
}
