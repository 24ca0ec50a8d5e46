import { Counter, Gauge, Histogram, type Metrics } from '@berth/service'

type BuildOutcome = 'completed' | 'failed' | 'cancelled'

/** Counts how builds end. */
export type BuildMetrics = {
  /** Without a duration: it ended before a worker had it. */
  ended(result: BuildOutcome, seconds?: number): void
  /** Steps of a build that went well, by where they were taken from. */
  steps(cached: number, run: number): void
  running(count: 1 | -1): void
}

/** Makes the metrics of builds. */
export function createBuildMetrics({ registry }: Pick<Metrics, 'registry'>): BuildMetrics {
  const builds = new Counter({
    name: 'berth_builds_total',
    help: 'Builds that ended here.',
    labelNames: ['result'],
    registers: [registry],
  })
  const duration = new Histogram({
    name: 'berth_build_duration_seconds',
    help: 'Time from the start of a build, or from when it was begun again, to its end.',
    buckets: [0.5, 2, 10, 30, 60, 120, 300, 600, 1_800, 3_600],
    registers: [registry],
  })
  const steps = new Counter({
    name: 'berth_build_steps_total',
    help: 'Steps of builds that went well, by whether the cache had them.',
    labelNames: ['from'],
    registers: [registry],
  })
  const running = new Gauge({ name: 'berth_builds_running', help: 'Builds under way here.', registers: [registry] })
  return {
    ended: (result, seconds) => {
      builds.inc({ result })
      if (seconds !== undefined) duration.observe(seconds)
    },
    steps: (cached, run) => {
      steps.inc({ from: 'cache' }, cached)
      steps.inc({ from: 'run' }, run)
    },
    running: (count) => running.inc(count),
  }
}
