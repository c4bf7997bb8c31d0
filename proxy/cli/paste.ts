import type { Config } from '../config/config.ts'

/**
 * What to paste into a client's list of servers, one entry for each server, so that it reaches them through the proxy.
 * @param url of the proxy, without a path
 */
export function pasteText(url: string, { servers, anonymous }: Config): string {
  // A client without a key would be turned away.
  const headers = anonymous === 'allow' ? {} : { headers: { Authorization: 'Bearer YOUR-KEY' } }
  const entries = servers.map(({ name }) => {
    return [name, { type: 'http', url: `${url}/servers/${name}/mcp`, ...headers }] as const
  })
  const lines = entries.map(([name, entry]) => `      ${JSON.stringify(name)}: ${spaced(entry)}`)
  return `
  For the settings of a client (Claude Code, Cursor; in VS Code's mcp.json the list is called "servers"):

  {
    "mcpServers": {
${lines.join(',\n')}
    }
  }

`
}

/** On one line, with blanks. */
function spaced(value: object): string {
  return JSON.stringify(value, null, 1).replaceAll(/\n\s*/g, ' ')
}
