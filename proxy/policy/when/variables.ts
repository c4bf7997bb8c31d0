/** What an expression may refer to: name, CEL type, meaning. */
export const VARIABLES: readonly (readonly [name: string, type: string, meaning: string])[] = [
  ['client', 'string', 'name of the client, `anonymous` without a credential'],
  ['server', 'string', 'name of the server'],
  ['method', 'string', 'the JSON-RPC method; for an answer: the one it answers'],
  ['tool', 'string', 'the tool that is called; `""` for anything but tools/call'],
  ['name', 'string', 'the tool, prompt or resource URI that is named; `""` when none is'],
  ['kind', 'string', '`request`, `response` or `notification`'],
  ['direction', 'string', '`to_server` or `to_client`'],
  ['arguments', 'map', 'the arguments of the call; for an answer: of the call it answers; else empty'],
  ['result', 'map', 'the result of an answer; else empty'],
  ['headers', 'map<string, string>', "fields of the client's HTTP request, names in lower case, without credentials"],
  ['now', 'google.protobuf.Timestamp', 'the time'],
]

/** The values of variables that have only a few. */
export const VALUES: Readonly<Record<string, readonly string[]>> = {
  kind: ['request', 'response', 'notification'],
  direction: ['to_server', 'to_client'],
}
