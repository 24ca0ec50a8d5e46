const external = {
  externalURL: 'https://registry.example.com',
  postgresql: { external: { host: 'db.example.com', existingSecret: 'database' } },
}
const trustedProxies = ['10.244.0.0/16']
const s3 = {
  type: 's3',
  s3: { endpoint: 'https://s3.example.com', bucket: 'berth', existingSecret: 'bucket' },
}
const prometheus = [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } } }]
const certificates = Object.fromEntries(
  ['auth', 'build', 'catalog', 'registry', 'sync', 'tasks'].map((service) => [service, `${service}-tls`]),
)
const digest = `sha256:${'a'.repeat(64)}`

/** What operators of many kinds would set. */
export const valueSets: Readonly<Record<string, object>> = {
  demo: { externalURL: 'http://registry.local:8080', demo: true, preset: 'small' },
  'a database of theirs and a volume': external,
  'a volume that is there': { ...external, storage: { filesystem: { existingClaim: 'blobs' } } },
  'a bucket': { ...external, storage: s3, preset: 'company' },
  'a bucket of this cluster': {
    ...external,
    storage: { type: 's3', s3: { ...s3.s3, endpoint: 'http://minio.minio.svc:9000' } },
  },
  'a bucket by workload identity': {
    ...external,
    storage: {
      type: 's3',
      s3: { endpoint: 'https://s3.eu-central-1.amazonaws.com', bucket: 'berth', workloadIdentity: true },
    },
    serviceAccount: { annotations: { 'eks.amazonaws.com/role-arn': 'arn:aws:iam::1:role/berth' } },
  },
  ingress: {
    ...external,
    trustedProxies,
    expose: { type: 'ingress', ingress: { className: 'nginx', tlsSecretName: 'tls' } },
  },
  gateway: {
    ...external,
    trustedProxies,
    expose: { type: 'gateway', gateway: { parentRefs: [{ name: 'public', namespace: 'gateways' }] } },
  },
  'a load balancer': {
    ...external,
    expose: { service: { type: 'LoadBalancer', port: 443, nodePort: 30443, externalTrafficPolicy: 'Local' } },
    proxy: {
      trustedAddresses: ['10.1.0.0/24', 'fd00::1'],
      podLabels: { mesh: 'off', team: 'edge' },
      pdb: { maxUnavailable: '50%' },
    },
    commonLabels: { team: 'platform' },
  },
  'NATS of theirs': {
    ...external,
    nats: { bundled: { enabled: false }, external: { url: 'nats://nats.example.com:4333' } },
  },
  'keys and passwords of theirs': {
    ...external,
    keys: { existingSecret: 'keys' },
    auth: { adminExistingSecret: 'admin' },
    postgresql: { external: { ...external.postgresql.external, migrationUser: true, sslMode: 'verify-full' } },
    extraCaCerts: { existingConfigMap: 'authorities' },
  },
  'secrets out of a store': {
    ...external,
    keys: { existingSecret: 'keys' },
    auth: { adminExistingSecret: 'keys' },
    storage: s3,
    externalSecrets: {
      enabled: true,
      storeRef: { name: 'vault', kind: 'ClusterSecretStore' },
      remoteKeys: { database: 'platform/berth/postgresql' },
    },
  },
  'certificates by cert-manager': {
    ...external,
    internalTLS: { enabled: true, certManager: { issuerRef: { name: 'internal', kind: 'ClusterIssuer' } } },
    extraCaCerts: { existingConfigMap: 'authorities' },
  },
  'certificates of theirs': {
    ...external,
    internalTLS: { enabled: true, existingSecrets: certificates },
    externalSecrets: { enabled: true, storeRef: { name: 'vault' } },
  },
  'an air gap': {
    ...external,
    global: { imageRegistry: 'mirror.example.com/berth' },
    imagePullSecrets: [{ name: 'pull' }],
    images: { berth: { repository: 'registry.example.com/platform/berth', digest } },
  },
  'Argo CD': {
    ...external,
    migrations: { hook: 'argocd' },
    commonLabels: { team: 'platform' },
    commonAnnotations: { owner: 'platform' },
  },
  'closed networks': {
    ...external,
    networkPolicy: {
      ingressFrom: [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'ingress-nginx' } } }],
      metricsFrom: prometheus,
      egress: { postgresql: [{ ipBlock: { cidr: '10.1.2.3/32' } }], upstreams: [{ ipBlock: { cidr: '10.9.0.0/16' } }] },
    },
  },
  'alerts and dashboards': {
    ...external,
    metrics: {
      serviceMonitor: { enabled: true },
      rules: { enabled: true, runbooks: 'https://git.example.com/' },
      dashboards: { enabled: true },
    },
    networkPolicy: { metricsFrom: prometheus },
  },
  backups: {
    ...external,
    backup: { cronJob: { enabled: true, existingClaim: 'dumps', keep: 3 } },
    extraCaCerts: { existingConfigMap: 'authorities' },
    postgresql: { external: { ...external.postgresql.external, migrationUser: true } },
  },
  traces: {
    ...external,
    tracing: { otlpEndpoint: 'http://collector.monitoring:4318', sampleRatio: 0.00001 },
    networkPolicy: { egress: { otlp: [{ namespaceSelector: { matchLabels: { name: 'monitoring' } } }] } },
  },
  builds: { ...external, storage: s3, services: { build: { enabled: true, nodeSelector: { builds: 'here' } } } },
  'everything of theirs': {
    ...external,
    services: {
      registry: {
        replicas: 5,
        autoscaling: { enabled: false },
        extraEnv: [{ name: 'BERTH_PUSH_LEASE_SECONDS', value: '600' }],
        nodeSelector: { disk: 'fast' },
        tolerations: [{ key: 'berth', operator: 'Exists' }],
        priorityClassName: 'high',
        podAnnotations: { note: 'ours' },
      },
    },
    extraObjects: [
      {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name: 'mine', labels: {} },
        data: { of: '{{ .Release.Name }}' },
      },
    ],
  },
}

/** Values that cannot work, and what is said of them. */
export const refusedSets: readonly (readonly [what: string, values: object, said: string])[] = [
  ['no external URL', {}, 'externalURL is not set'],
  ['an external URL with a path', { ...external, externalURL: 'https://example.com/registry' }, 'externalURL'],
  [
    'backups without a place',
    { ...external, backup: { cronJob: { enabled: true } } },
    'backup.cronJob.existingClaim is not',
  ],
  [
    'backups of a trial',
    { externalURL: 'https://a', demo: true, backup: { cronJob: { enabled: true, existingClaim: 'c' } } },
    'backup.cronJob.enabled and demo are both set',
  ],
  ['no database', { externalURL: 'https://a' }, 'postgresql.external.host is not set'],
  [
    'a database without a login',
    { externalURL: 'https://a', postgresql: { external: { host: 'db' } } },
    'existingSecret is not set',
  ],
  ['a demo with a database', { ...external, demo: true }, 'demo and postgresql.external.host are both set'],
  [
    'two of NATS',
    { ...external, nats: { external: { url: 'nats://a:4222' } } },
    'nats.bundled.enabled and nats.external.url are both set',
  ],
  ['no NATS', { ...external, nats: { bundled: { enabled: false } } }, 'no NATS'],
  [
    'a bucket without its secret',
    { ...external, storage: { type: 's3', s3: { endpoint: 'https://a', bucket: 'b' } } },
    'storage.s3.existingSecret is not set',
  ],
  ['a bucket that is not used', { ...external, storage: { s3: { bucket: 'b' } } }, 'storage.type is filesystem'],
  [
    'a bucket and a volume',
    { ...external, storage: { ...s3, filesystem: { existingClaim: 'c' } } },
    'blobs lie in one of them',
  ],
  ...['ingress', 'gateway'].map(
    (type) =>
      [
        `${type} without the network of its controller`,
        { ...external, expose: { type, gateway: { parentRefs: [{ name: 'public' }] } } },
        `expose.type is ${type} and trustedProxies is empty`,
      ] as const,
  ),
  ['a gateway without its name', { ...external, expose: { type: 'gateway' } }, 'expose.gateway.parentRefs is empty'],
  [
    'TLS for an origin of http',
    {
      ...external,
      trustedProxies,
      externalURL: 'http://a',
      expose: { type: 'ingress', ingress: { tlsSecretName: 't' } },
    },
    'does not begin with https',
  ],
  ['a collector that is no URL', { ...external, tracing: { otlpEndpoint: 'collector:4318' } }, 'otlpEndpoint'],
  ['more than all traces', { ...external, tracing: { sampleRatio: 5 } }, 'sampleRatio'],
  [
    'a service that is switched off',
    { ...external, services: { tasks: { enabled: false } } },
    'only build can be switched',
  ],
  ['a service that is none', { ...external, services: { gateway: {} } }, 'gateway'],
  [
    'a port of nodes where there is none',
    { ...external, expose: { service: { nodePort: 30080 } } },
    'expose.service.nodePort is set and expose.service.type is ClusterIP',
  ],
  [
    'a policy for traffic from outside where none comes',
    { ...external, expose: { service: { externalTrafficPolicy: 'Local' } } },
    'expose.service.externalTrafficPolicy is set',
  ],
  [
    'a port that is none',
    { ...external, expose: { service: { type: 'NodePort', nodePort: 99999 } } },
    '/expose/service/nodePort',
  ],
  [
    'more pods than the most',
    { ...external, services: { registry: { replicas: 4, autoscaling: { max: 3 } } } },
    'services.registry.autoscaling.max is 3, and its least number of pods is 4',
  ],
  [
    'two least numbers of pods',
    { ...external, services: { registry: { replicas: 3, autoscaling: { min: 4 } } } },
    'services.registry.replicas is 3 and its autoscaling.min is 4',
  ],
  ...Object.entries({
    autoscaling: { enabled: true },
    extraEnv: [],
    extraVolumes: [],
    extraVolumeMounts: [],
    enabled: false,
  }).map(([name, value]) => [`${name} of the proxy`, { ...external, proxy: { [name]: value } }, `'${name}'`] as const),
  [
    'a network that is none',
    { ...external, proxy: { trustedAddresses: ['10.0.0.0/8; deny all'] } },
    'trustedAddresses',
  ],
  [
    'a Prometheus that is let in nowhere',
    { ...external, metrics: { serviceMonitor: { enabled: true } } },
    'name its pods in networkPolicy.metricsFrom',
  ],
  [
    'a Prometheus beside everybody',
    { ...external, trustedProxies, expose: { type: 'ingress' }, networkPolicy: { metricsFrom: prometheus } },
    'networkPolicy.ingressFrom is empty, which lets everybody in',
  ],
  [
    'a volume of one node for pods of several',
    { ...external, storage: { filesystem: { accessMode: 'ReadWriteOnce' } } },
    'storage.filesystem.accessMode is ReadWriteOnce',
  ],
  ['a budget below nothing', { ...external, services: { auth: { pdb: { maxUnavailable: -1 } } } }, 'maxUnavailable'],
  ...['tls://a:4222', 'nats://a:4222/', 'nats://user:password@a:4222', 'nats://a:4222,b:4222'].map(
    (url) =>
      [
        `NATS at ${url}`,
        { ...external, nats: { bundled: { enabled: false }, external: { url } } },
        'nats.external.url is not of the form',
      ] as const,
  ),
  [
    'labels of all that are those of one part',
    { ...external, commonLabels: { 'app.kubernetes.io/component': 'mine' } },
    'commonLabels has app.kubernetes.io/component',
  ],
  [
    'labels of pods that they are found by',
    { ...external, services: { auth: { podLabels: { 'app.kubernetes.io/name': 'mine' } } } },
    'services.auth.podLabels has app.kubernetes.io/name',
  ],
  ['an external URL with a user', { ...external, externalURL: 'https://me:secret@a' }, 'externalURL has a user'],
  ...['https://[2001:db8::1]:8443', 'https://192.0.2.1'].map(
    (externalURL) =>
      [
        `an ingress for ${externalURL}`,
        { ...external, externalURL, expose: { type: 'ingress' } },
        'ingresses and gateways go by names',
      ] as const,
  ),
  ['an API server at no port', { ...external, networkPolicy: { egress: { kubernetesPorts: [] } } }, 'kubernetesPorts'],
  ['a value that is misspelled', { ...external, extrnalURL: 'x' }, 'extrnalURL'],
]
