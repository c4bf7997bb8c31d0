import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { Config } from '../../config/config.ts'
import { type Finding, ok, problem, reasonOf, warning } from './finding.ts'

const DAY_MS = 86_400_000
/** A certificate that ends within this time is worth a warning. */
const SOON_MS = 14 * DAY_MS

/** The listener's certificate: readable, fits its key, and how long it is valid. */
export function checkCertificate(tls: Config['tls'], now: number): Finding[] {
  if (tls === null) return []
  const what = 'certificate'
  try {
    const certificate = new X509Certificate(readFileSync(tls.cert))
    if (!certificate.checkPrivateKey(createPrivateKey(readFileSync(tls.key)))) {
      return [problem(what, `${tls.cert} does not belong to ${tls.key}`, 'give the pair that belongs together')]
    }
    return [checkDates(certificate, now)]
  } catch (error) {
    return [problem(what, `${tls.cert}, ${tls.key}: ${reasonOf(error)}`, 'give a certificate and its key as PEM files')]
  }
}

function checkDates(certificate: X509Certificate, now: number): Finding {
  const from = certificate.validFromDate
  const to = certificate.validToDate
  const days = Math.floor((to.getTime() - now) / DAY_MS)
  const name = certificate.subjectAltName ?? certificate.subject.replaceAll('\n', ', ')
  if (from.getTime() > now) return problem('certificate', `valid from ${from.toISOString()} on`, 'look at the clock')
  if (to.getTime() <= now) return problem('certificate', `ended on ${to.toISOString()}`, 'renew it')
  if (to.getTime() - now < SOON_MS) return warning('certificate', `${name}: ends in ${days} days`, 'renew it')
  return ok('certificate', `${name}: ${days} days left`)
}
