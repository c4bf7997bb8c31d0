/**
 * Turns an SSE answer that holds one message into a JSON answer; anything else is given back as it is.
 * It waits for the whole answer: only for calls that send nothing before their result.
 */
export async function singleJson(response: Response): Promise<Response> {
  if (!response.headers.get('content-type')?.startsWith('text/event-stream')) return response
  const text = await response.text()
  const messages = text.split('\n').filter(line => line.startsWith('data: {'))
  const headers = new Headers(response.headers)
  if (messages.length !== 1) return new Response(text, { status: response.status, headers })
  headers.set('content-type', 'application/json')
  return new Response(messages[0]?.slice('data: '.length), { status: response.status, headers })
}
