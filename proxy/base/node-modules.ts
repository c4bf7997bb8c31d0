/**
 * Node's modules of HTTP and TLS, as `require` gives them. `import … from 'node:http'` reads every property of the module to
 * make its exports, and with that starts what hides behind lazy ones: a second HTTP client with WebSockets, a list of
 * root certificates. That costs a process 14 MB and 25 ms, which no code of ours gets anything for.
 */
export const http: typeof import('node:http') = process.getBuiltinModule('node:http')

/** Only when somebody needs it: it brings TLS with it. */
export function https(): typeof import('node:https') {
  return process.getBuiltinModule('node:https')
}

export function tls(): typeof import('node:tls') {
  return process.getBuiltinModule('node:tls')
}
