import { gzipSync } from 'node:zlib'
import { expect, test } from '@jest/globals'
import { memberHeader, paddingBytes, tarEnd } from '../archives/tar.ts'
import { imagesOfValues } from './images-of-values.ts'
import { unpackChart } from './unpack-chart.ts'

const values = `
image: { repository: bitnami/nginx, registry: docker.io, tag: "" }
sidecar: { image: quay.io/a/b:1.2 }
plain: { image: redis, tag: 7 }
initImage: { repository: busybox, digest: "sha256:${'a'.repeat(64)}" }
port: { host: registry:5000/x, image: registry:5000/x }
noImage: true
imagePullPolicy: Always
images: { web: { repository: team/web, tag: "", digest: "" }, broker: { repository: docker.io/library/nats, tag: 2.12-alpine } }
source: { repository: "https://git.example/x", tag: v1 }
backup: { repository: s3-bucket }
`

test('the images that the values of a chart name are found, with tags where they are said', () => {
  expect(imagesOfValues({ values, chart: 'appVersion: 1.25' })).toEqual([
    `busybox@sha256:${'a'.repeat(64)}`,
    'docker.io/bitnami/nginx:1.25',
    'docker.io/library/nats:2.12-alpine',
    'quay.io/a/b:1.2',
    'redis:7',
    'registry:5000/x',
    'team/web:1.25',
  ])
})

test.each([
  ['', []],
  ['a: [', []],
  [`image: "${'x'.repeat(600)}"`, []],
  ['image: "{{ .Values.x }}"', []],
  // Each level names the one before ten times: read once each, they are few.
  [Array.from({ length: 40 }, (_, i) => `l${i}: &l${i} [${i ? `*l${i - 1},`.repeat(10) : '1'}]`).join('\n'), []],
  ['['.repeat(50_000), []],
])('values that say nothing, or too much, name none (%#)', (text, images) => {
  expect(imagesOfValues({ values: text })).toEqual(images)
})

function packed(files: Record<string, string>): Buffer {
  const members = Object.entries(files).map(([name, text]) =>
    Buffer.concat([memberHeader(name, text.length), Buffer.from(text), Buffer.alloc(paddingBytes(text.length))]),
  )
  return gzipSync(Buffer.concat([...members, tarEnd]))
}

test('a packed chart is looked into with those inside it, and a bomb is not unpacked', async () => {
  const chart = packed({
    'app/Chart.yaml': 'name: app',
    'app/values.yaml': 'a: 1',
    'app/charts/db/values.yaml': 'b: 2',
  })
  expect([...(await unpackChart(chart))]).toEqual([
    ['app/', { chart: 'name: app', values: 'a: 1' }],
    ['app/charts/db/', { values: 'b: 2' }],
  ])
  await expect(unpackChart(gzipSync(Buffer.alloc(40 << 20)))).rejects.toThrow('larger than')
  await expect(unpackChart(Buffer.from('no gzip'))).rejects.toThrow('header check')
})
