import { readFileSync } from 'node:fs'
import { publicRoutes, serviceNames } from '@berth/standalone/origin'
import { expect, test } from '@jest/globals'

const read = (name: string) => readFileSync(new URL(`../../deploy/compose/${name}`, import.meta.url), 'utf8')

test('the proxy sends each path to the service that answers it, and no other path anywhere', () => {
  const [, routes = ''] = /# routes\n([\s\S]*?) *# end of routes/.exec(read('nginx.conf')) ?? []
  expect(
    routes
      .split('\n')
      .filter(Boolean)
      .map((line) => line.trim()),
  ).toEqual(publicRoutes.map(([prefix, service]) => `~^${prefix}(/|$) ${service};`))
  const passed = [...read('nginx.conf').matchAll(/proxy_pass (.*);/g)].map(([, target]) => target)
  expect(passed).toEqual(['http://$service:8080', 'http://$registry:8080'])
})

test('the image by its Dockerfile is of this release, and has what build.sh gives it', () => {
  const { version } = JSON.parse(read('../../package.json'))
  const [dockerfile, script] = [read('../image/Dockerfile'), read('../image/build.sh')]
  expect(dockerfile).toContain(`ARG VERSION=${version}\n`)
  expect(read('docker-compose.yaml').match(/BERTH_IMAGE:-berth:([^}]+)/g)).toEqual(
    Array.from({ length: 4 }, () => `BERTH_IMAGE:-berth:${version}`),
  )
  const environment = [...script.matchAll(/--env (\S+)/g)].map(([, pair]) => pair)
  expect(dockerfile).toContain(`ENV ${environment.join(' ')}\n`)
  const labels = (text: string) =>
    [...text.matchAll(/org\.opencontainers\.image\.(\w+)=/g)]
      .map(([, name]) => name)
      .toSorted((a = '', b = '') => a.localeCompare(b))
  expect(labels(dockerfile)).toEqual(labels(script))
  for (const [, flag, value] of script.matchAll(/--healthcheck-(interval|timeout|start-period|retries) (\w+)/g))
    expect(dockerfile).toContain(`--${flag}=${value}`)
})

test('every container may write nowhere but in its volumes, has no capability and can gain none', () => {
  const text = read('docker-compose.yaml')
  const [, services = ''] = /^services:\n([\s\S]*?)^networks:/m.exec(text) ?? []
  const blocks = services.split(/^ {2}(?=\w)/m).filter((block) => /^\w/.test(block))
  expect(blocks.map((block) => block.split(':')[0])).toEqual(
    expect.arrayContaining([...serviceNames, 'postgres', 'nats', 'proxy']),
  )
  const [, common = ''] = /^x-berth: &berth\n([\s\S]*?)^\n/m.exec(text) ?? []
  for (const block of blocks) {
    const all = block.includes('<<: *berth') ? common : block
    for (const wanted of ['read_only: true', 'cap_drop: [ALL]', 'security_opt: [no-new-privileges]'])
      expect([block.split(':')[0], all.includes(wanted)]).toEqual([block.split(':')[0], true])
  }
  expect(text).not.toContain('cap_add')
  expect(text.match(/^ {4}ports:/gm)).toHaveLength(1)
})

test('every volume has a name, so that none is left behind', () => {
  const text = read('docker-compose.yaml')
  const mounts = [...text.matchAll(/^ {6}- ([^\s:]+)(:\S+)?$/gm)].map(([, source = '', target]) => ({ source, target }))
  expect(mounts.length).toBeGreaterThan(20)
  const [, named = ''] = /^volumes:\n([\s\S]*)/m.exec(text) ?? []
  for (const { source, target } of mounts.filter(
    (mount) => !mount.source.startsWith('./') && mount.source !== '${BERTH_PORT',
  ))
    expect([source, target !== undefined, named.includes(`  ${source}:\n`)]).toEqual([source, true, true])
})
