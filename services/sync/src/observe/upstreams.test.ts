import { createMetrics } from '@berth/service'
import { expect, test } from '@jest/globals'
import { createUpstreamMetrics, hostClassOf } from './upstreams.ts'

test.each([
  ['registry-1.docker.io', 'docker.io'],
  ['production.cloudflare.docker.com', 'docker.io'],
  ['notdocker.io', 'other'],
  ['europe-docker.pkg.dev', 'google'],
  ['123.dkr.ecr.eu-west-1.amazonaws.com:443', 'amazon'],
  ['registry.internal:5000', 'other'],
  ['[::1]:5000', 'other'],
])('%s is counted as %s', (host, expected) => {
  expect(hostClassOf(host)).toBe(expected)
})

test('of remotes that name a limit the thousand heard last are shown, and hosts by their kind', async () => {
  const metrics = createMetrics()
  const hear = createUpstreamMetrics(metrics)
  for (let i = 0; i < 1_500; i++)
    hear({ name: `remote-${i}` })({ host: `host-${i}.example`, status: 200, remaining: i })
  hear({ name: 'silent' })({ host: 'host.example' })
  const lines = (await metrics.text()).split('\n')
  const shown = lines.filter((line) => line.startsWith('berth_upstream_ratelimit_remaining{'))
  expect([shown.length, shown.at(-1)]).toEqual([1_000, 'berth_upstream_ratelimit_remaining{remote="remote-1499"} 1499'])
  expect(lines.filter((line) => line.startsWith('berth_upstream_requests_total{'))).toEqual([
    'berth_upstream_requests_total{host_class="other",code="200"} 1500',
    'berth_upstream_requests_total{host_class="other",code="none"} 1',
  ])
})
