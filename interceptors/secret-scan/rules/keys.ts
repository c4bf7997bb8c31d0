import { assign, type Rule, text } from '../rule.ts'

const BODY = '(?:[^-]|-(?!----)){40,16384}'
const JOSE = '[A-Za-z0-9_-]'

/** Private keys, signed tokens, credentials of HTTP headers. */
export const KEYS: readonly Rule[] = [
  text(
    'private-key',
    'Private key (PEM, OpenSSH, PGP)',
    ['-----begin'],
    `-----BEGIN[ A-Z0-9_-]{0,40}PRIVATE KEY(?: BLOCK)?-----(?=[^-]{0,300}?[A-Za-z0-9+/]{40})${BODY}(?:-----END[ A-Z0-9_-]{0,40}(?:PRIVATE KEY)?(?: BLOCK)?(?:-----)?)?`,
    { entropy: 0, placeholders: false },
  ),
  text(
    'putty-private-key',
    'PuTTY private key',
    ['putty-user-key-file-'],
    'PuTTY-User-Key-File-\\d:[\\s\\S]{20,8000}?Private-Lines: {0,2}\\d{1,3}[A-Za-z0-9+/=\\s]{40,16384}',
    { entropy: 0, placeholders: false },
  ),
  text(
    'ssh2-private-key',
    'SSH2 private key',
    ['ssh2'],
    `---- BEGIN SSH2 (?:ENCRYPTED )?PRIVATE KEY ----[^-]{40,16384}(?:---- END SSH2 (?:ENCRYPTED )?PRIVATE KEY ----)?`,
    { entropy: 0, placeholders: false, back: 11 },
  ),
  text(
    'jwt',
    'JSON Web Token',
    ['eyj'],
    `eyJ${JOSE}{8,2000}\\.eyJ${JOSE}{8,8000}\\.${JOSE}{16,1400}(?!${JOSE}|\\.${JOSE})`,
    {
      tail: 32,
      entropy: 3,
    },
  ),
  text(
    'jwe',
    'Encrypted JSON Web Token',
    ['eyj'],
    `eyJ${JOSE}{16,2000}\\.${JOSE}{0,800}\\.${JOSE}{12,64}\\.${JOSE}{4,8000}\\.${JOSE}{16,64}(?!${JOSE})`,
    {
      tail: 48,
      entropy: 3.5,
    },
  ),
  text('bearer-token', 'Bearer token of an HTTP header', ['bearer'], 'bearer {1,3}([A-Za-z0-9._~+/-]{20,2000}={0,2})', {
    flags: 'i',
    group: 1,
    entropy: 3.5,
    generic: true,
    tail: 20,
  }),
  assign(
    'authorization-header',
    'Credential of an Authorization header',
    ['authorization'],
    '[A-Za-z0-9+/_.~-]{16,2000}={0,2}',
    {
      entropy: 3,
      generic: true,
    },
  ),
  assign(
    'kubernetes-client-key',
    'Client key of a kubeconfig',
    ['client-key-data'],
    'LS0tLS1CRUdJTi[A-Za-z0-9+/]{60,8000}={0,2}',
  ),
  {
    ...assign('docker-config-auth', 'Credential of a Docker config.json', ['auth'], ''),
    pattern: 'auth["\']\\s{0,3}:\\s{0,3}["\']([A-Za-z0-9+/]{20,400}={0,2})(?![A-Za-z0-9])',
    entropy: 3.2,
    generic: true,
    wholeName: true,
  },
]
