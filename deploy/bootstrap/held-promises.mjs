// A promise that rejects while nothing holds it ends the process (unhandledRejection), and with it all six services. So each one
// that is put into a variable is awaited, returned, given to Promise.all or to a function, or gets a handler, before the next
// `await` or branch could leave it behind; and `void` stands only before one that has a handler.
import path from 'node:path'
import { SyntaxKind as Kind } from 'typescript/unstable/ast'
import { API, TypeFlags } from 'typescript/unstable/sync'

const combinators = new Set(['all', 'allSettled', 'any', 'race'])
const branches = new Set(
  'IfStatement SwitchStatement ForStatement ForInStatement ForOfStatement WhileStatement DoStatement ConditionalExpression ThrowStatement YieldExpression'
    .split(' ')
    .map((name) => Kind[name]),
)
const conditioned = new Set([Kind.IfStatement, Kind.SwitchStatement, Kind.WhileStatement, Kind.ConditionalExpression])
const functions = new Set(
  'ArrowFunction FunctionExpression FunctionDeclaration MethodDeclaration GetAccessor SetAccessor Constructor'
    .split(' ')
    .map((name) => Kind[name]),
)

/** Finds the promises that may be left without a handler: each as `file:line name`. `isChecked` chooses the files by path. */
export function findUnheldPromises(configFile, isChecked) {
  const api = new API({ cwd: path.dirname(configFile) })
  try {
    const [project] = api.updateSnapshot({ openProjects: [configFile] }).getProjects()
    const files = project.rootFiles.filter(isChecked).map((name) => project.program.getSourceFile(name))
    return files.flatMap((file) =>
      promisesIn(file, project.checker)
        .filter(({ name, after }) => name === 'void' || !isHeld(name, after))
        .map(({ name, at }) => `${path.relative(path.dirname(configFile), file.fileName)}:${lineOf(file, at)} ${name}`),
    )
  } finally {
    api.close()
  }
}

/** Each variable that is given a promise, with what is evaluated after that in the same function, in order. */
function promisesIn(file, checker) {
  const given = []
  const look = (node) => {
    const [name, value] = assigned(node)
    if (name && mayBePromise(value)) given.push({ name, value, node })
    if (node.kind === Kind.VoidExpression && mayBePromise(node.expression))
      given.push({ name: 'void', value: node.expression, node })
    node.forEachChild(look)
  }
  look(file)
  if (given.length === 0) return []
  const types = checker.getTypeAtLocation(given.map(({ value }) => value))
  return given
    .filter((_, index) => isPromise(types[index], checker))
    .map(({ name, value, node }) => ({ name, at: value.end, after: following(node) }))
}

function assigned(node) {
  if (node.kind === Kind.VariableDeclaration && node.initializer && node.name.kind === Kind.Identifier)
    return [node.name.text, node.initializer]
  const isAssignment =
    node.kind === Kind.BinaryExpression &&
    (node.operatorToken.kind === Kind.EqualsToken || node.operatorToken.kind === Kind.QuestionQuestionEqualsToken)
  // What an arrow function evaluates to, it returns.
  if (!isAssignment || node.left.kind !== Kind.Identifier || isResultOfArrow(node)) return []
  return [node.left.text, node.right]
}

function isResultOfArrow({ parent }) {
  return parent.kind === Kind.ParenthesizedExpression ? isResultOfArrow(parent) : parent.kind === Kind.ArrowFunction
}

function mayBePromise(value) {
  if (value.kind === Kind.NewExpression) return canReject(value)
  if (value.kind === Kind.CallExpression) return !isSettledByItself(value)
  // A variable that already holds it was looked at where it got it.
  return value.kind === Kind.ConditionalExpression || isFallback(value)
}

/** A chain that ends in handlers that throw nothing; what a map knows, which was looked at where it was put in. */
function isSettledByItself({ expression, arguments: given }) {
  if (expression.kind !== Kind.PropertyAccessExpression) return false
  const { expression: object, name } = expression
  if (name.text === 'get') return true
  if (name.text === 'resolve') return object.text === 'Promise'
  if (name.text === 'finally') return object.kind === Kind.CallExpression && isSettledByItself(object)
  const handlers = name.text === 'catch' ? given : name.text === 'then' && given.length === 2 ? given : []
  return handlers.length > 0 && !handlers.some(throws)
}

function throws(node) {
  if (node.kind === Kind.ThrowStatement) return true
  let found = false
  node.forEachChild((child) => {
    found ||= throws(child)
  })
  return found
}

const isFallback = (value) =>
  value.kind === Kind.BinaryExpression && value.operatorToken.kind === Kind.QuestionQuestionToken

/** `new Promise((resolve) => …)` has nothing to reject with. */
function canReject(value) {
  const [executor] = value.arguments ?? []
  return value.expression.text === 'Promise' && (executor?.parameters?.length ?? 2) > 1
}

function isPromise(type, checker) {
  const present = type && checker.getNonNullableType(type)
  if (!present || present.flags & TypeFlags.Any) return false
  return ['then', 'catch'].every((method) => checker.getPropertyOfType(present, method))
}

/** What is evaluated after a node, up to the end of its function: later siblings of it and of each node around it. */
function following(node) {
  const after = []
  for (let child = node; child.parent && !functions.has(child.kind); child = child.parent) {
    let passed = false
    child.parent.forEachChild((sibling) => {
      if (passed) after.push(sibling)
      if (sibling === child) passed = true
    })
  }
  return after
}

function isHeld(name, nodes) {
  for (const node of nodes) {
    const verdict = judge(node, name)
    if (verdict !== undefined) return verdict
  }
  return false
}

/** true: held here. false: left behind here. undefined: go on. Parts are judged before the whole, as they are evaluated. */
function judge(node, name) {
  if (functions.has(node.kind)) return undefined
  if (holds(node, name)) return true
  if (branches.has(node.kind)) return judgeBranch(node, name)
  let verdict
  node.forEachChild((child) => {
    verdict ??= judge(child, name)
  })
  if (verdict !== undefined) return verdict
  return node.kind === Kind.AwaitExpression || node.kind === Kind.ReturnStatement ? false : undefined
}

/** What decides a branch is evaluated in any case, and so is the body of an endless loop; its other parts may not be. */
function judgeBranch(node, name) {
  const isLoop = node.kind === Kind.ForStatement
  const first = isLoop ? [node.initializer, node.condition ?? node.statement] : [node.expression ?? node.condition]
  const certain = isLoop || conditioned.has(node.kind) ? first.filter((one) => one !== undefined) : []
  for (const part of certain) {
    const verdict = judge(part, name)
    if (verdict !== undefined) return verdict
  }
  return false
}

function holds(node, name) {
  if (node.kind === Kind.AwaitExpression || node.kind === Kind.ReturnStatement)
    return node.expression !== undefined && isDirectly(node.expression, name)
  if (node.kind !== Kind.CallExpression) return false
  // The function has it now: whether it may be left there is for its own reader to see.
  if (node.expression.kind === Kind.Identifier) return node.arguments.some((one) => isDirectly(one, name))
  if (node.expression.kind !== Kind.PropertyAccessExpression) return false
  const { expression: object, name: method } = node.expression
  if (object.text === 'Promise' && combinators.has(method.text))
    return node.arguments.some((one) => mentions(one, name))
  // What `then` makes of it is another promise, which is looked at by itself.
  return object.text === name && ['then', 'catch', 'finally'].includes(method.text)
}

function isDirectly(expression, name) {
  if (expression.kind === Kind.Identifier) return expression.text === name
  if (expression.kind === Kind.ParenthesizedExpression) return isDirectly(expression.expression, name)
  return isFallback(expression) && (isDirectly(expression.left, name) || isDirectly(expression.right, name))
}

function mentions(node, name) {
  if (node.kind === Kind.Identifier) return node.text === name
  if (functions.has(node.kind)) return false
  let found = false
  node.forEachChild((child) => {
    found ||= mentions(child, name)
  })
  return found
}

function lineOf(file, position) {
  return file.text.slice(0, position).split('\n').length
}
