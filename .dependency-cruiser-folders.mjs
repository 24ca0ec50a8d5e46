import rules from './.dependency-cruiser.mjs'

// Tests, and what they share in `testing`, look at a subject from above; what they import says nothing about its place.
export default {
  forbidden: [
    {
      name: 'no-folder-cycles',
      comment: 'of two folders one is above the other: what both need lies in a third, below them',
      severity: 'error',
      scope: 'folder',
      from: {},
      to: { circular: true },
    },
  ],
  options: { ...rules.options, exclude: { path: '(^|/)(generated|testing)/|\\.(test|fixture)\\.ts$' } },
}
