import type { Rule } from './rule.ts'
import type { Hit } from './text-scanner.ts'

export const PII_KINDS = ['email', 'iban', 'card', 'phone', 'us-ssn'] as const
export type PiiKind = (typeof PII_KINDS)[number]

interface Detector {
  readonly rule: Rule
  readonly pattern: RegExp
  readonly accepts: (text: string) => boolean
}

/** Personal data: found by pattern and check digits in any text. */
export class Pii {
  readonly rules: readonly Rule[]
  readonly #detectors: readonly Detector[]

  constructor(kinds: readonly PiiKind[]) {
    this.#detectors = PII_KINDS.filter(kind => kinds.includes(kind)).map(detectorOf)
    this.rules = this.#detectors.map(detector => detector.rule)
  }

  scan(text: string): Hit[] {
    const hits: Hit[] = []
    for (const { rule, pattern, accepts } of this.#detectors) {
      if (text.length < 7) continue
      pattern.lastIndex = 0
      for (let match = pattern.exec(text); match !== null; match = pattern.exec(text)) {
        const value = match[0]
        const end = match.index + value.length
        if (!accepts(value) || hits.some(hit => hit.start < end && match.index < hit.end)) continue
        hits.push({ rule, start: match.index, end, value })
      }
    }
    return hits
  }
}

const DESCRIPTIONS: Readonly<Record<PiiKind, string>> = {
  email: 'E-mail address',
  iban: 'Bank account number (IBAN)',
  card: 'Payment card number',
  phone: 'Telephone number',
  'us-ssn': 'US social security number',
}

/*
 * Each pattern looks behind itself for a word that goes on, so that a try begins once a word and no text is gone over twice.
 */
const PATTERNS: Readonly<Record<PiiKind, [pattern: RegExp, accepts: (text: string) => boolean]>> = {
  email: [
    /(?<![\w.%+-])[A-Za-z0-9][\w.%+-]{0,63}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,6}[A-Za-z]{2,24}(?![\w-])/g,
    isAddress,
  ],
  iban: [/(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])/g, isIban],
  card: [/(?<![\d.,-])\d(?:[ -]?\d){12,18}(?![\d]|[.,-]\d)/g, isCard],
  phone: [
    /(?<![\w+.-])(?:\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{1,4}(?:[ .-]?\d{2,4}){2,4}|\(\d{3}\) ?\d{3}[-. ]\d{4}|\d{3}[-. ]\d{3}[-. ]\d{4})(?![\w-])/g,
    isPhone,
  ],
  'us-ssn': [/(?<![\d-])(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\d-])/g, () => true],
}

function detectorOf(kind: PiiKind): Detector {
  const [pattern, accepts] = PATTERNS[kind]
  const rule: Rule = {
    id: `pii-${kind}`,
    description: DESCRIPTIONS[kind],
    kind: 'token',
    keywords: [],
    pattern: pattern.source,
    flags: '',
    group: 0,
    entropy: 0,
    back: 0,
    bounded: false,
    tail: 0,
    tailSet: '',
    blanks: 0,
    wholeName: false,
    minValue: 0,
    generic: false,
    notAfter: [],
    notBefore: [],
    placeholders: false,
  }
  return { rule, pattern: new RegExp(pattern.source, 'g'), accepts }
}

/** Domains that RFC 2606 keeps for examples belong to nobody, and `icon@2x.png` is a picture. */
function isAddress(text: string): boolean {
  if (/@\dx\.[a-z]+$/i.test(text)) return false
  return !/@(?:[\w.-]+\.)?(?:example\.(?:com|org|net)|example|invalid|test|localhost)$/i.test(text)
}

/** By country: ISO 13616's registry. */
const IBAN_LENGTHS = new Map(
  (
    'AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 ES24 FI18 FO18 ' +
    'FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 ' +
    'MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 QA29 RO24 RS22 SA24 SE24 SI19 SK24 SM27 TN24 TR26 ' +
    'UA29 VA22 VG24 XK20'
  )
    .split(' ')
    .map(entry => [entry.slice(0, 2), Number(entry.slice(2))] as const),
)

/** ISO 13616: the length of the country, and the remainder by 97 of the rearranged number is 1. */
export function isIban(text: string): boolean {
  const iban = text.replaceAll(' ', '')
  if (IBAN_LENGTHS.get(iban.slice(0, 2)) !== iban.length) return false
  let remainder = 0
  for (const character of iban.slice(4) + iban.slice(0, 4)) {
    const value = Number.parseInt(character, 36)
    remainder = (remainder * (value > 9 ? 100 : 10) + value) % 97
  }
  return remainder === 1
}

/** Issuer ranges in use, their lengths, and Luhn's check digit (ISO/IEC 7812-1). */
export function isCard(text: string): boolean {
  const digits = text.replace(/[ -]/g, '')
  if (!hasIssuer(digits) || /^(\d)\1+$/.test(digits)) return false
  let sum = 0
  for (let i = 0; i < digits.length; i++) {
    const digit = Number(digits[digits.length - 1 - i])
    sum += i % 2 === 0 ? digit : digit > 4 ? digit * 2 - 9 : digit * 2
  }
  return sum % 10 === 0
}

function hasIssuer(digits: string): boolean {
  const { length } = digits
  if (digits.startsWith('4')) return length === 13 || length === 16 || length === 19
  if (/^(?:5[1-5]|2(?:2[2-9]|[3-6]|7[01]|720))/.test(digits)) return length === 16
  if (/^3[47]/.test(digits)) return length === 15
  if (/^3(?:0[0-5]|[689])/.test(digits)) return length === 14 || length === 16
  if (/^35(?:2[89]|[3-8])/.test(digits)) return length >= 16
  return /^(?:6011|64[4-9]|65|62|50|5[6-9]|6[0-9])/.test(digits) && length >= 16
}

/** 8 to 15 digits (E.164), and not one digit over and over. */
function isPhone(text: string): boolean {
  const digits = text.replace(/\D/g, '')
  return digits.length >= 8 && digits.length <= 15 && new Set(digits).size > 2
}
