import { describeMainJob } from '../main-job/main-job.ts'
import { borrowUpstreams } from '../servers/upstreams.ts'
import { composeMissingYet, startCompose } from './compose.ts'
import { forwardTo } from './forward.ts'

describeMainJob(
  'the main job, in containers by docker compose with two replicas',
  async () => {
    const upstreams = await borrowUpstreams()
    const composed = await startCompose({ registry: 2, catalog: 2, sync: 2, tasks: 2 })
    const ends = await Promise.all(
      [upstreams.open, upstreams.guarded].map(({ url }) => forwardTo(composed.gateway, Number(new URL(url).port))),
    )
    return {
      stack: composed.stack,
      events: composed.events,
      reach: (url) => url.replace(new URL(url).hostname, composed.gateway),
      stop: async () => {
        await Promise.all(ends.map((end) => end()))
        await composed.stop()
      },
    }
  },
  await composeMissingYet(),
)
