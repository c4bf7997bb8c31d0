import { defineInterceptor, type Exchange, type Message, Rights, Verdict, z } from '#api'
import { hideTools } from './hide-tools.ts'

/** The longest tool list that is read, in bytes. */
const MAX_LIST_BYTES = 16 * 1024 * 1024

/**
 * Who may use which server, and call which tool (R040-R042), by the policy's `access_control`.
 *
 * A client without rights to a server may send it nothing. With rights to it, prompts, resources and everything else
 * but tools are open: `allowed_tools` is about tools alone. Tools that a client may not call are taken out of the
 * answers to its `tools/list`. What the server sends on its own, and the client's answers to it, is not held back.
 */
export default defineInterceptor({
  name: 'access',
  summary: 'Lets clients use the servers and tools that access_control allows them, and hides the other tools.',
  options: z.strictObject({}),
  looks: {
    request: { need: 'envelope', directions: ['toServer'] },
    notification: { need: 'envelope', directions: ['toServer'] },
    response: {
      need: 'json',
      edits: true,
      directions: ['toClient'],
      methods: ['tools/list'],
      maxBytes: MAX_LIST_BYTES,
    },
  },
  onFailure: 'closed',
  recheck: true,
  create(_options, { accessControl }) {
    if (accessControl === null) throw new Error('the policy lacks "access_control", with default_policy and clients')
    const rights = new Rights(accessControl)
    const check = (message: Message, exchange: Exchange): Verdict | undefined => refusal(rights, message, exchange)
    return {
      request: check,
      notification: check,
      response(message, exchange) {
        const access = rights.of(exchange.principal.id, exchange.server)
        if (!access.everyTool) hideTools(message, access)
        return undefined
      },
    }
  },
})

function refusal(rights: Rights, message: Message, exchange: Exchange): Verdict | undefined {
  const client = exchange.principal.id
  const { server } = exchange
  const access = rights.of(client, server)
  if (message.method !== 'tools/call') {
    return access.server ? undefined : Verdict.deny('access_denied', `Access denied: ${client} -> ${server}`)
  }
  if (access.mayCall(message.name)) return undefined
  return Verdict.deny('access_denied', `Access denied: ${client} -> ${server}.${message.name}`)
}
