const kinds: Record<string, string> = {
  string: 'a string',
  integer: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  object: 'an object',
  array: 'a list',
  null: 'null',
}

/** What the validator says, and how a person is told. */
const texts: readonly [RegExp, (...found: string[]) => string][] = [
  [/^must NOT have additional properties$/, () => 'is no field of this request'],
  [/^must have required property /, () => 'is missing'],
  [/^must be ([a-z]+(?:,[a-z]+)*)$/, (types = '') => `has to be ${types.split(',').map(kindOf).join(' or ')}`],
  [/^must NOT have fewer than 1 characters$/, () => 'is empty'],
  [/^must NOT have fewer than (\d+) characters$/, (count) => `has to have at least ${count} characters`],
  [/^must NOT have more than (\d+) characters$/, (count) => `is longer than ${count} characters`],
  [/^must NOT have fewer than 1 items$/, () => 'is an empty list'],
  [/^must NOT have fewer than (\d+) items$/, (count) => `has to name at least ${count}`],
  [/^must NOT have more than (\d+) (?:items|properties)$/, (count) => `names more than ${count}`],
  [/^must NOT have duplicate items /, () => 'names something twice'],
  [/^must be >= (\S+)$/, (bound) => `has to be at least ${bound}`],
  [/^must be <= (\S+)$/, (bound) => `has to be at most ${bound}`],
  [/^must match format "(.+)"$/, (format) => `is no ${format}`],
  [/^must match pattern "(.+)"$/s, (pattern) => `is not written as ${pattern}`],
  // It writes null as nothing.
  [
    /^must be equal to one of the allowed values: (.+)$/s,
    (values = '') => `has to be one of ${values.replace(/, $/, ', null')}`,
  ],
]

/** The sentence about a field that follows its name; what the validator says where it says something else. */
export function faultText(message: string): string {
  for (const [pattern, text] of texts) {
    const found = pattern.exec(message)
    if (found) return text(...found.slice(1))
  }
  return message
}

const kindOf = (type: string) => kinds[type] ?? type

/** As our own checks name fields: `keys[0].type`. */
export function fieldName(path: string): string {
  return path
    .replace(/^\/(body|query|params)\//, '')
    .replace(/^\/(body|query|params)$/, 'body')
    .replaceAll(/\/(\d+)(?=\/|$)/g, '[$1]')
    .replaceAll('/', '.')
}
