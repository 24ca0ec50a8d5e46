// What tests of services need to run them for real. Nothing that ships imports it.
export { makeDatabase, type TestDatabase, testServers } from './database.ts'
export { dumpSchema } from './dump-schema.ts'
export { makeSelfSigned } from './self-signed.ts'
export { type Served, serve, serviceKey } from './serve.ts'
export { type ServiceProcess, startProcess } from './service-process.ts'
export { until } from './until.ts'
