export {
  createTokenCheck,
  type PublicJwk,
  type TokenCheck,
  tokenIssuer,
  tokenService,
} from './access-token.ts'
export { type Credentials, loginIn, parseAuthorization } from './authorization.ts'
export { bearerChallenge, type Challenge } from './challenge.ts'
export { identifyThrough } from './remote-identity.ts'
export { type Access, allows, formatScope, isGrantedFor, parseScopes } from './scope.ts'
