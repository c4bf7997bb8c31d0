import { assign, login, type Rule, text, token } from '../rule.ts'

const AFTER_SERVER = '(?<=(?:server|data source|host|driver) ?=[^"\\n]{1,300}; {0,2})'

/** Databases and data platforms: their tokens, and connection strings with passwords. */
export const DATA: readonly Rule[] = [
  login('postgres-login', 'PostgreSQL URL with a password', ['postgres', 'cockroach', 'timescale']),
  login('mysql-login', 'MySQL or MariaDB URL with a password', ['mysql', 'mariadb']),
  login('mongodb-login', 'MongoDB URL with a password', ['mongodb']),
  login('redis-login', 'Redis or Valkey URL with a password', ['redis', 'valkey']),
  login('mssql-login', 'SQL Server URL with a password', ['mssql', 'sqlserver']),
  login('clickhouse-login', 'ClickHouse, Cassandra, Neo4j or InfluxDB URL with a password', [
    'clickhouse',
    'cassandra',
    'neo4j',
    'bolt',
    'influxdb',
  ]),
  text(
    'dotnet-connection-string',
    'Connection string with a password (ADO.NET, ODBC)',
    ['password', 'pwd'],
    `${AFTER_SERVER}(?:password|pwd) ?= ?([^;"'\\s\\\\]{3,120})`,
    { flags: 'i', group: 1, entropy: 0, tail: 1, tailSet: '[=]', blanks: 1 },
  ),
  text(
    'jdbc-connection-string',
    'JDBC URL with a password',
    ['password'],
    '(?<=jdbc:[a-z0-9]{2,20}:[^\\s"\'<>]{1,300}[?&;])password=([^\\s"\'&;<>\\\\]{3,120})',
    { flags: 'i', group: 1, entropy: 0, tail: 1, tailSet: '[=]', blanks: 1 },
  ),
  text(
    'postgres-dsn',
    'PostgreSQL key-value connection string with a password',
    ['password'],
    '(?<=(?:dbname|host)=[^"\\n]{1,300} )password=([^\\s"\'\\\\]{3,120})',
    { flags: 'i', group: 1, entropy: 0, tail: 1, tailSet: '[=]', blanks: 1 },
  ),
  token('planetscale-password', 'PlanetScale password', 'pscale_pw_', '[A-Za-z0-9_.=-]{32,64}'),
  token('planetscale-token', 'PlanetScale token', ['pscale_tkn_', 'pscale_oauth_'], '[A-Za-z0-9_.=-]{32,64}'),
  token('supabase-access-token', 'Supabase access token', 'sbp_', '[a-f0-9]{40}'),
  token('supabase-secret-key', 'Supabase secret key', 'sb_secret_', '[A-Za-z0-9_-]{31,36}'),
  token('neon-api-key', 'Neon API key', 'napi_', '[a-z0-9]{60,70}'),
  token('databricks-token', 'Databricks access token', 'dapi', '[a-f0-9]{32}(?:-\\d)?', { entropy: 3 }),
  token('mongodb-atlas-secret', 'MongoDB Atlas service account secret', 'mdb_sa_sk_', '[A-Za-z0-9_-]{36,48}'),
  token('aiven-password', 'Aiven service password', 'AVNS_', '[A-Za-z0-9_-]{19}'),
  token('clickhouse-cloud-key', 'ClickHouse Cloud API secret', '4b1d', '[A-Za-z0-9]{38}', { entropy: 3.8 }),
  assign('confluent-secret', 'Confluent Cloud API secret', ['confluent'], '[A-Za-z0-9/+]{64}', { entropy: 4 }),
  assign('snowflake-password', 'Snowflake password', ['snowflake'], '[^\\s"\'`<>,;&]{10,128}', { entropy: 3.2 }),
  assign(
    'elastic-password',
    'Elastic Cloud password',
    ['elastic_password', 'elasticsearch_password'],
    '[A-Za-z0-9]{20,24}',
    {
      entropy: 3.2,
    },
  ),
  assign('influxdb-token', 'InfluxDB token', ['influx'], '[A-Za-z0-9_-]{86}==', { entropy: 4 }),
  assign('algolia-api-key', 'Algolia admin API key', ['algolia'], '[a-f0-9]{32}'),
  assign(
    'database-password-variable',
    'Password variable of a database client',
    [
      'pgpassword',
      'mysql_pwd',
      'mysql_root_password',
      'postgres_password',
      'mongo_initdb_root_password',
      'redis_password',
    ],
    '[^\\s"\'`<>,;(){}\\[\\]\\\\]{8,128}(?!\\()',
    { entropy: 2.6, notBefore: ['file', 'path', 'hash'] },
  ),
]
