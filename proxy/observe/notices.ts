import { channels, type Notice, type Output, type Reload } from './channels.ts'
import type { Log } from './log.ts'

/**
 * Writes what the rooms publish for operators (notices, reloads, what replicas say) into the log.
 * @returns what stops it
 */
export function startNotices(log: Log): () => void {
  const onNotice = (notice: Notice): void => log[notice.level](notice.fields, notice.text)
  const onReload = (reload: Reload): void => logReload(log, reload)
  const onOutput = ({ server, replica, line }: Output): void => log.info({ server, replica }, line)
  channels.notice.subscribe(onNotice as (message: unknown) => void)
  channels.output.subscribe(onOutput as (message: unknown) => void)
  channels.reload.subscribe(onReload as (message: unknown) => void)
  return () => {
    channels.notice.unsubscribe(onNotice as (message: unknown) => void)
    channels.output.unsubscribe(onOutput as (message: unknown) => void)
    channels.reload.unsubscribe(onReload as (message: unknown) => void)
  }
}

function logReload(log: Log, reload: Reload): void {
  const { what, generation, text } = reload
  if (reload.ok) log.info({ what, generation }, `${what} is in use`)
  else log.error({ what, generation, error: text }, `${what} could not be loaded; the one before stays in use`)
}
