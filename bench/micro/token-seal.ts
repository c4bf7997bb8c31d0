/** Session tokens: made once a session, opened with each of its requests: `node bench/micro/token-seal.ts`. */
import { randomBytes } from 'node:crypto'
import { maxOpenSessions, SessionSealer } from '../../proxy/downstream/session.ts'
import { measure, printCost } from '../lib/micro.ts'

const sealer = new SessionSealer(randomBytes(32))

function seal(): string {
  return sealer.seal('github', 'http://10.0.0.12:3001/mcp', '1b4e28ba-2fa1-11d2-883f-0016d3cca427', 'ci', '2025-11-25')
}

const token = seal()
// So many that each was forgotten before its turn comes again.
const many = Array.from({ length: 2 * maxOpenSessions }, seal)
let next = 0

console.log(`a token has ${token.length} characters`)
printCost('seal', measure(seal))
printCost(
  'open, opened lately',
  measure(() => sealer.open(token)),
)
printCost(
  'open, for the first time',
  measure(() => sealer.open(many[next++ % many.length] as string)),
)
const forged = `${token.slice(0, -8)}AAAAAAAA`
if (sealer.open(forged) !== null) throw new Error('a forged token was opened')
printCost(
  'open, forged',
  measure(() => sealer.open(forged)),
)
