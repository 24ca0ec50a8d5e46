import { embeddedNatsUrl } from './events.ts'
import { describeMainJob } from './main-job.ts'
import { startTestStack } from './stack.ts'

describeMainJob('the main job, in one process on the file system', async () => {
  const stack = await startTestStack({ embeddedDatabase: true })
  return { stack, natsUrl: embeddedNatsUrl(stack.home), stop: () => stack.stop() }
})
