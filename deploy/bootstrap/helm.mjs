import { findOnPath } from './command.mjs'
import { goInstall, hasGo } from './go-install.mjs'
import { say } from './say.mjs'

const helmVersion = 'v3.22.0'

/** The environment of the tests of the chart: BERTH_TEST_HELM with the path of a helm, else BERTH_TEST_NO_HELM with why there is none. */
export async function helmEnvironment() {
  if (process.env.BERTH_TEST_HELM) return {}
  const there = findOnPath('helm')
  if (there) return { BERTH_TEST_HELM: there }
  if (!hasGo()) return without('no helm on PATH and no Go to build it: install either')
  try {
    return {
      BERTH_TEST_HELM: await goInstall({ name: 'helm', version: helmVersion, module: 'helm.sh/helm/v3/cmd/helm' }),
    }
  } catch (error) {
    return without(`helm could not be built: ${error.message}`)
  }
}

function without(why) {
  say(`THE TESTS OF THE CHART ARE SKIPPED: ${why}`)
  return { BERTH_TEST_NO_HELM: why }
}
