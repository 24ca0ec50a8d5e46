// The one entry: `node deploy/bootstrap/run.mjs start|test|check|bench|soak|env [arguments]`.
// Only this file must be readable to old versions of Node, so it loads the others after looking at the version.
const major = Number(process.versions.node.split('.')[0])
if (major < 20) {
  process.stderr.write(
    `berth: this is Node ${process.versions.node}; Berth needs Node 20 or newer: install it from your package manager or nodejs.org, then try again.\n`,
  )
  process.exit(1)
}

try {
  const { main } = await import('./main.mjs')
  process.exitCode = await main(process.argv[2], process.argv.slice(3))
} catch (error) {
  if (error?.name !== 'CannotGoOn') throw error
  process.stderr.write(`berth: ${error.message}\n`)
  process.exitCode = 1
}
