// What the one public origin consists of, without the services behind it.
export { createForward } from './forward.ts'
export { mergeDocuments } from './merged-document.ts'
export { publicRoutes, type ServiceName, serviceNames } from './routes.ts'
