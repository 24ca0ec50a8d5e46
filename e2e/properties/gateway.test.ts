import { afterAll, beforeAll, describe } from '@jest/globals'
import { withBerth } from '../berth/with-berth.ts'
import { headerProperties } from './headers.ts'
import { manifestProperties } from './manifests.ts'
import { pathProperties } from './paths.ts'
import { makeScene, type Scene } from './scene.ts'
import { tokenProperties } from './tokens.ts'
import { uploadProperties } from './uploads.ts'

describe('whatever a client sends', () => {
  const berth = withBerth()
  let running: Scene | undefined
  beforeAll(async () => {
    running = await makeScene(berth)
  }, 30_000)
  afterAll(() => running?.wire.close())
  const scene = () => {
    if (!running) throw new Error('the scene is not made')
    return running
  }

  pathProperties(scene)
  headerProperties(scene)
  manifestProperties(scene)
  uploadProperties(scene)
  tokenProperties(scene)
})
