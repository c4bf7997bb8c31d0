import { join } from 'node:path'

export interface NginxSetting {
  readonly home: string
  readonly port: number
  readonly upstreamPorts: readonly number[]
  readonly buffering: boolean
}

export function nginxConfig({ home, port, upstreamPorts, buffering }: NginxSetting): string {
  const user = process.getuid?.() === 0 ? 'user root;' : ''
  const servers = upstreamPorts.map(upstream => `server 127.0.0.1:${upstream} max_fails=0;`).join('\n    ')
  return `${user}
daemon off;
worker_processes 1;
pid ${join(home, 'nginx.pid')};
error_log ${join(home, 'error.log')} warn;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path ${join(home, 'body')};
  proxy_temp_path ${join(home, 'proxy')};
  fastcgi_temp_path ${join(home, 'fastcgi')};
  uwsgi_temp_path ${join(home, 'uwsgi')};
  scgi_temp_path ${join(home, 'scgi')};
  keepalive_requests 100000000;
  upstream server {
    ${servers}
    keepalive 64;
    keepalive_requests 100000000;
  }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      proxy_pass http://server;
      proxy_http_version 1.1;
      proxy_buffering ${buffering ? 'on' : 'off'};
      proxy_set_header Connection "";
    }
  }
}
`
}

export function haproxyConfig(port: number, upstreamPorts: readonly number[]): string {
  const servers = upstreamPorts.map((upstream, index) => `  server s${index} 127.0.0.1:${upstream}`).join('\n')
  return `global
  nbthread 1
  maxconn 4096
defaults
  mode http
  http-reuse always
  timeout connect 5s
  timeout client 10m
  timeout server 10m
frontend clients
  bind 127.0.0.1:${port}
  default_backend servers
backend servers
${servers}
`
}
