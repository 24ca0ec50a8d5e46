/** The world of a test file is that of the worker (plain-runtime.mjs). */
export default class PlainEnvironment {
  // Jest puts its console and its options here.
  global = {}

  getVmContext() {
    return null
  }

  async setup() {}

  async teardown() {}
}
