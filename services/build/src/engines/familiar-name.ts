/**
 * A reference as BuildKit looks it up among the images that it is given: without what docker leaves out when it shows one, the host of
 * Docker Hub, its folder of official images, and the tag `latest`.
 */
export function familiarName(reference: string): string {
  const [named = '', ...digest] = reference.split('@')
  const slash = named.indexOf('/')
  const host = slash < 0 ? '' : named.slice(0, slash)
  const isHost = /[.:]/.test(host) || host === 'localhost' || host !== host.toLowerCase()
  const isHub = !isHost || host === 'docker.io' || host === 'index.docker.io'
  const path = isHost ? named.slice(slash + 1) : named
  const short = isHub ? path.replace(/^library\/(?=[^/]+$)/, '') : named
  return [short, ...digest].join('@').replace(/:latest$/, '')
}
