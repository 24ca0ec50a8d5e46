const dockerHub = new Set(['docker.io', 'index.docker.io', 'registry-1.docker.io', 'www.docker.io'])

/** The origin of a registry as people write it: Docker Hub's names are one registry, and https is meant where nothing is said. */
export function normalizeRegistryUrl(text: string): URL {
  const url = new URL(text.includes('://') ? text : `https://${text}`)
  return dockerHub.has(url.hostname) ? new URL('https://registry-1.docker.io') : url
}

/** The name of a repository as the upstream knows it: Docker Hub keeps one-component names under `library/`. */
export function upstreamRepository(url: URL, name: string): string {
  return url.hostname === 'registry-1.docker.io' && !name.includes('/') ? `library/${name}` : name
}
