import { serveStdio } from '@modelcontextprotocol/server/stdio'
import { makeServer } from './fixture/make-server.ts'

/** The same server over standard input and output: `sluice.yaml` of the leg `stdio` names it as a command. */
serveStdio(({ era }) => {
  const server = makeServer(era, {
    toolsChanged: () => server.sendToolListChanged(),
    promptsChanged: () => server.sendPromptListChanged(),
  })
  return server
})
