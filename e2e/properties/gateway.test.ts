import { afterAll, beforeAll, describe } from '@jest/globals'
import { headerProperties } from './headers.ts'
import { manifestProperties } from './manifests.ts'
import { pathProperties } from './paths.ts'
import { type Scene, startScene } from './scene.ts'
import { tokenProperties } from './tokens.ts'
import { uploadProperties } from './uploads.ts'

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
