export {
  type AccessObject,
  adminRights,
  type Decision,
  decide,
  type Grant,
  hasAnywhere,
  noRights,
  type Rights,
} from './decide.ts'
export { BadOn, formatOn, type On, parseOn } from './on.ts'
export { type AccessColumns, toSql } from './to-sql.ts'
export { type BuiltInRole, builtInRoles, isVerb, type Kind, kinds, roleWith, type Verb, verbs } from './verbs.ts'
