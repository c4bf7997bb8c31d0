// Runs before anything else, on whatever Node there is: so plain old JavaScript without imports.
// Exits with 1 and says what to do when this Node cannot run the TypeScript sources.
const NEEDED = 24

function fault() {
  const major = Number(process.versions.node.split('.')[0])
  if (major < NEEDED) return `found Node ${process.version}`
  if (!process.features.typescript) return `Node ${process.version} was told not to run TypeScript (--no-strip-types?)`
  return ''
}

const found = fault()
if (found !== '') {
  process.stderr.write(
    [
      `sluice: needs Node ${NEEDED} or newer; ${found} at ${process.execPath}.`,
      '',
      'The repository pins Node 26 as an optional dependency, which npm puts first for `npm start` and `npm test`:',
      '  npm ci                     (without --omit=optional and --no-optional)',
      '  npm start',
      `There are builds for Linux (x64, arm64) and macOS (arm64). Anywhere else install Node ${NEEDED} or newer:`,
      '  https://nodejs.org/en/download',
      '',
    ].join('\n'),
  )
  process.exit(1)
}
