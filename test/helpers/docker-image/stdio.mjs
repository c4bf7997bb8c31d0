import { answer } from './mcp.mjs'

let held = Buffer.alloc(0)
process.stdin.on('data', chunk => {
  held = Buffer.concat([held, chunk])
  for (let to = held.indexOf(10); to !== -1; to = held.indexOf(10)) {
    const line = held.subarray(0, to)
    held = held.subarray(to + 1)
    const said = answer(JSON.parse(line.toString()))
    if (said !== null) process.stdout.write(`${JSON.stringify(said)}\n`)
  }
})
// With STUBBORN set it neither ends with its input nor by a polite signal.
process.stdin.on('end', () => {
  if (process.env.STUBBORN === undefined) process.exit(0)
})
if (process.env.STUBBORN !== undefined) {
  setInterval(() => {}, 1000)
  process.on('SIGTERM', () => console.error('not yet'))
}
console.error('ready')
