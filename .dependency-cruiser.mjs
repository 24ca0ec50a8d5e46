// Imports only point down: e2e and deploy -> services -> libs. A service never imports a service.
const libs = {
  oci: [],
  blobs: ['oci', 'service'],
  access: [],
  service: ['access', 'tracing'],
  bus: ['service', 'tracing'],
  tokens: ['service'],
  tracing: [],
  commands: ['access', 'oci', 'service', 'tokens'],
  'registry-client': ['oci', 'tracing'],
  signatures: ['commands', 'oci', 'service'],
  worker: ['blobs', 'bus', 'commands', 'service', 'tracing'],
  host: ['access', 'blobs', 'bus', 'commands', 'service', 'tokens', 'tracing'],
}

const libRules = Object.entries(libs).map(([name, allowed]) => ({
  name: `lib-${name}`,
  comment: `libs/${name} may import ${allowed.length ? allowed.map((lib) => `libs/${lib}`).join(', ') : 'no other package of ours'}`,
  severity: 'error',
  from: { path: `^libs/${name}/src/` },
  to: { path: '^(libs|services|deploy|e2e)/', pathNot: `^libs/(${[name, ...allowed].join('|')})/` },
}))

export default {
  forbidden: [
    ...libRules,
    {
      name: 'service-imports-service',
      comment: 'services ask each other by HTTP and events, never by import',
      severity: 'error',
      from: { path: '^services/([^/]+)/' },
      to: { path: '^services/', pathNot: '^services/$1/' },
    },
    {
      name: 'service-imports-up',
      severity: 'error',
      from: { path: '^services/' },
      to: { path: '^(deploy|e2e)/' },
    },
    {
      name: 'standalone-by-its-entries',
      comment: 'what others use of deploy/standalone is exported by its package.json',
      severity: 'error',
      from: { pathNot: '^deploy/standalone/' },
      to: {
        path: '^deploy/standalone/src/',
        pathNot: '^deploy/standalone/src/(main|origin|children/index|embedded/index)\\.ts$',
      },
    },
    { name: 'deploy-imports-up', severity: 'error', from: { path: '^deploy/' }, to: { path: '^e2e/' } },
    {
      name: 'oci-is-pure',
      comment:
        'libs/oci is words of the protocol; it needs nothing but the order of versions and a hash for embedded data',
      severity: 'error',
      from: { path: '^libs/oci/src/', pathNot: '\\.test\\.ts$' },
      to: { pathNot: '^libs/oci/|/node_modules/semver/|^(node:)?crypto$' },
    },
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    { name: 'no-unresolved', severity: 'error', from: {}, to: { couldNotResolve: true } },
  ],
  options: {
    parser: 'swc',
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)generated/' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
}
