import { expect, test } from '@jest/globals'
import { mergeMetrics } from './merge-metrics.ts'

const of = (value: number) => `# HELP up Whether it is up.
# TYPE up gauge
up ${value}

# HELP asked_total Requests.
# TYPE asked_total counter
asked_total{code="200"} ${value}
asked_total{service="named",code="404"} ${value}
`

test('the metrics of processes are one text, each family once, each sample with its service', () => {
  const merged = mergeMetrics([
    { service: 'a', text: of(1) },
    { service: 'b', text: of(2) },
    { service: 'away', text: '' },
  ])
  expect(merged).toBe(`# HELP up Whether it is up.
# TYPE up gauge
up{service="a"} 1
up{service="b"} 2
# HELP asked_total Requests.
# TYPE asked_total counter
asked_total{service="a",code="200"} 1
asked_total{service="named",code="404"} 1
asked_total{service="b",code="200"} 2
asked_total{service="named",code="404"} 2
`)
})
