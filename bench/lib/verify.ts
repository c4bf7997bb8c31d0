import { request } from 'node:http'
import type { Workload } from './payload.ts'

const LIMIT_MS = 5_000

/** Sends the benchmark's request once; throws unless the answer is 200 and byte for byte the upstream's. */
export async function verify(url: string, workload: Workload, name: string): Promise<void> {
  const { status, body } = await post(url, workload)
  if (status === 200 && body.equals(workload.answerBody)) return
  throw new Error(`${name} answers wrongly: status ${status}, expected 200 and the upstream's body, got:\n${body}`)
}

function post(url: string, { requestBody, requestHeaders }: Workload): Promise<{ status: number; body: Buffer }> {
  return new Promise((resolve, reject) => {
    const headers = { ...requestHeaders, 'Content-Length': requestBody.length, Connection: 'close' }
    const call = request(url, { method: 'POST', headers, timeout: LIMIT_MS }, answer => {
      const chunks: Buffer[] = []
      answer.on('data', (chunk: Buffer) => chunks.push(chunk))
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body: Buffer.concat(chunks) }))
      answer.on('error', reject)
    })
    call.on('timeout', () => call.destroy(new Error(`${url}: no answer within ${LIMIT_MS} ms`)))
    call.on('error', reject)
    call.end(requestBody)
  })
}
