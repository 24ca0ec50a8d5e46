// SQL is code: of a query with more than three clauses each clause has a line of its own, and what is long has a name instead of
// standing among the arguments of a call.
import path from 'node:path'
import { SyntaxKind as Kind } from 'typescript/unstable/ast'
import { API } from 'typescript/unstable/sync'

const mostOnOneLine = 3
// About fifteen; a line or two more do not need a name.
const longestUnnamed = 18
const widestLine = 132

/**
 * Finds the SQL in TypeScript that does not keep to this: each as `file:line what is wrong`. `isChecked` chooses the files by
 * path.
 */
export function findCrowdedSql(configFile, isChecked) {
  const api = new API({ cwd: path.dirname(configFile) })
  try {
    const [project] = api.updateSnapshot({ openProjects: [configFile] }).getProjects()
    const files = project.rootFiles.filter(isChecked).map((name) => project.program.getSourceFile(name))
    return files.flatMap((file) =>
      textsIn(file)
        .filter(({ text }) => isSql(text))
        .flatMap(({ node, text }) => {
          const faults = faultsOf(text, node.parent.kind === Kind.CallExpression)
          const line = file.text.slice(0, node.end).split('\n').length
          return faults.map((fault) => `${path.relative(path.dirname(configFile), file.fileName)}:${line} ${fault}`)
        }),
    )
  } finally {
    api.close()
  }
}

/** All strings and templates of a file; a word stands for what a template fills in. */
function textsIn(file) {
  const found = []
  const look = (node) => {
    if (node.kind === Kind.StringLiteral || node.kind === Kind.NoSubstitutionTemplateLiteral)
      found.push({ node, text: node.text })
    if (node.kind === Kind.TemplateExpression)
      found.push({
        node,
        text: [node.head, ...node.templateSpans.map((span) => span.literal)].map(({ text }) => text).join('filled'),
      })
    node.forEachChild(look)
  }
  look(file)
  return found
}

const beginning =
  /^\s*(select\s|insert into\s|delete from\s|update\s+\S+(\s+as)?(\s+\w+)?\s+set\s|with\s+(recursive\s+)?\w+\s*(\([^)]*\)\s*)?as\s)/

// Conditions and columns that are filled in elsewhere have their queries in brackets.
const within = /\(\s*(select|with\s+(recursive\s+)?\w+\s+as|insert into|update \w+ set|delete from)\s/

const isSql = (text) => beginning.test(text) || within.test(text)

/** What is wrong with the layout of a statement. */
export function faultsOf(sql, isUnnamed = false) {
  const faults = queriesIn(sql)
    .filter((lines) => lines.length > mostOnOneLine && new Set(lines).size < lines.length)
    .map((lines) => `a query of ${lines.length} clauses has several on one line`)
  const widest = Math.max(...sql.split('\n').map((line) => line.trim().length))
  if (widest > widestLine) faults.push(`a line of ${widest} characters`)
  const length = sql.trim().split('\n').length
  if (isUnnamed && length > longestUnnamed) faults.push(`SQL of ${length} lines stands in a call: give it a name`)
  return faults
}

/** The same for a file of statements, or of a function's body. */
export function faultsOfScript(sql) {
  const statements = sql.split(/;|\$\$|\b(?:begin|then|else|loop|return query|perform)\b/)
  return statements.flatMap((statement) => (isSql(statement) ? faultsOf(statement.trim()) : []))
}

const tokenPattern = /--.*|'(?:[^']|'')*'|"[^"]*"|\w+|\n|\S/g

/** The queries in a statement, itself and those in brackets: of each, the lines on which its clauses begin. */
export function queriesIn(sql) {
  const tokens = []
  let line = 0
  for (const [text] of sql.matchAll(tokenPattern)) {
    if (text === '\n') line++
    else if (!text.startsWith('--')) tokens.push({ text, line })
  }
  const queries = [{ words: [], lines: [] }]
  const open = [queries[0]]
  for (const [index, { text, line: at }] of tokens.entries()) {
    if (text === '(') {
      open.push({ words: [], lines: [] })
      queries.push(open.at(-1))
    } else if (text === ')') open.pop()
    else {
      const query = open.at(-1)
      if (!query) break
      if (beginsClause(query.words, text, tokens[index + 1]?.text)) query.lines.push(at)
      query.words.push(text)
    }
  }
  return queries.filter(({ words }) => verbs.has(words[0])).map(({ lines }) => lines)
}

const verbs = new Set(['select', 'with', 'insert', 'update', 'delete', 'values'])
const always = new Set('select where having returning limit offset values union intersect except join'.split(' '))
const pairs = new Set([
  'insert into',
  'delete from',
  'order by',
  'group by',
  'on conflict',
  'for update',
  'for no',
  'for share',
  'for key',
])

/** Whether a word begins a clause of the query whose words before it are given. */
function beginsClause(before, word, next) {
  const last = before.at(-1)
  if (before.length > 0 && !verbs.has(before[0])) return false
  if (always.has(word) || pairs.has(`${word} ${next}`)) return true
  if (word === 'with') return before.length === 0
  if (word === 'from') return last !== 'distinct' && last !== 'delete'
  if (word === 'update') return !['do', 'for', 'key'].includes(last)
  if (word === 'set') return last !== 'update'
  return word === 'using' && before.includes('delete') && !before.includes('join')
}
