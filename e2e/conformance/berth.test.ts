import { withBerth } from '../berth/with-berth.ts'
import { berthTarget, everything } from './berth.ts'
import { conformanceSuite } from './suite.ts'

const berth = withBerth()
conformanceSuite('Berth on the file system', () => berthTarget(berth), everything)
