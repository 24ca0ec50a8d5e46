import { afterAll, beforeAll, describe } from '@jest/globals'
import { headerProperties } from './properties/headers.ts'
import { manifestProperties } from './properties/manifests.ts'
import { pathProperties } from './properties/paths.ts'
import { type Scene, startScene } from './properties/scene.ts'
import { tokenProperties } from './properties/tokens.ts'
import { uploadProperties } from './properties/uploads.ts'

describe('whatever a client sends', () => {
  let running: Scene | undefined
  beforeAll(async () => {
    running = await startScene()
  }, 90_000)
  afterAll(() => running?.stop(), 30_000)
  const scene = () => {
    if (!running) throw new Error('Berth has not started')
    return running
  }

  pathProperties(scene)
  headerProperties(scene)
  manifestProperties(scene)
  uploadProperties(scene)
  tokenProperties(scene)
})
