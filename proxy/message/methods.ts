/** The methods of every MCP revision and official extension. */
export const KNOWN_METHODS: readonly string[] = []
