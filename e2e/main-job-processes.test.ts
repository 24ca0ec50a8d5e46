import { embeddedNatsUrl } from './events.ts'
import { describeMainJob } from './main-job.ts'
import { startTestStack } from './stack.ts'

describeMainJob('the main job, with each service as a process of its own', async () => {
  const stack = await startTestStack({ env: { BERTH_PROCESSES: 'true' }, embeddedDatabase: true })
  return { stack, natsUrl: embeddedNatsUrl(stack.home), stop: () => stack.stop() }
})
