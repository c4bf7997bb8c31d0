import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { family, installed, listening, type Running, start } from './process.ts'

/** Where it may be: `/usr/sbin` is not in the search path of most users. */
const PLACES = ['nginx', '/usr/sbin/nginx', '/usr/local/sbin/nginx']

/** The command that starts nginx; `null` = it is not installed. */
export function findNginx(): string | null {
  return PLACES.find(installed) ?? null
}

/** Starts nginx in the foreground with one worker and its plain `proxy_pass`; everything it writes goes to `dir`. */
export async function startNginx(dir: string, port: number, upstreamPort: number): Promise<Running> {
  mkdirSync(dir, { recursive: true })
  const file = join(dir, 'nginx.conf')
  writeFileSync(file, config(dir, port, upstreamPort))
  const command = findNginx()
  if (command === null) throw new Error('nginx is not installed (Debian: apt-get install nginx-light)')
  const running = start(command, ['-e', join(dir, 'error.log'), '-p', dir, '-c', file])
  await listening(running, port, 'nginx')
  return running
}

/** The worker's id: the master only waits. */
export function workersOf(running: Running): number[] {
  return family(running.pid).filter(pid => pid !== running.pid)
}

function config(dir: string, port: number, upstreamPort: number): string {
  const user = process.getuid?.() === 0 ? 'user root;' : ''
  return `${user}
daemon off;
worker_processes 1;
pid ${join(dir, 'nginx.pid')};
error_log ${join(dir, 'error.log')} warn;
events { worker_connections 1024; }
http {
  access_log off;
  client_body_temp_path ${join(dir, 'body')};
  proxy_temp_path ${join(dir, 'proxy')};
  fastcgi_temp_path ${join(dir, 'fastcgi')};
  uwsgi_temp_path ${join(dir, 'uwsgi')};
  scgi_temp_path ${join(dir, 'scgi')};
  keepalive_requests 100000000;
  upstream server {
    server 127.0.0.1:${upstreamPort};
    keepalive 64;
    keepalive_requests 100000000;
  }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://server;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }
  }
}
`
}
