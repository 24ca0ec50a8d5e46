export default {
  testEnvironment: '<rootDir>/e2e/servers/plain-environment.mjs',
  runtime: '<rootDir>/e2e/servers/plain-runtime.mjs',
  injectGlobals: false,
  transform: {},
  extensionsToTreatAsEsm: ['.ts'],
  testMatch: ['<rootDir>/{libs,services,deploy,e2e}/**/*.test.ts'],
  testPathIgnorePatterns: ['/node_modules/', '/generated/'],
  globalSetup: '<rootDir>/e2e/servers/global-setup.ts',
  globalTeardown: '<rootDir>/e2e/servers/global-teardown.ts',
  reporters: ['default', '<rootDir>/e2e/servers/closing-line-reporter.ts'],
  testSequencer: '<rootDir>/e2e/servers/longest-first.mjs',
  testTimeout: 30_000,
  maxWorkers: 3,
  // Each file leaves some of its modules behind. In a worker with a gigabyte of them whatever moves many bytes stands still for
  // the collection of garbage; one that has this much is followed by a new one.
  workerIdleMemoryLimit: '400MB',
}
