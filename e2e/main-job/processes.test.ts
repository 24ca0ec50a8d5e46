import { embeddedNats } from '../berth/events.ts'
import { startTestStack } from '../berth/stack.ts'
import { describeMainJob } from './main-job.ts'

describeMainJob('the main job, with each service as a process of its own', async () => {
  const stack = await startTestStack({ env: { BERTH_PROCESSES: 'true' }, embeddedDatabase: true })
  return { stack, events: embeddedNats(stack.home), stop: () => stack.stop() }
})
