import { everything, startBerthTarget } from './berth.ts'
import { conformanceSuite } from './suite.ts'

conformanceSuite('Berth on the file system', startBerthTarget, everything)
