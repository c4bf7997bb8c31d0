import { assign, type Rule, text, token, UUID } from '../rule.ts'

/** Office, design, customer relations, media, maps and other services. */
export const SERVICES: readonly Rule[] = [
  token('airtable-pat', 'Airtable personal access token', 'pat', '[A-Za-z0-9]{14}\\.[a-f0-9]{64}', { tail: 79 }),
  assign('airtable-legacy-key', 'Airtable API key, the older kind', ['airtable'], 'key[A-Za-z0-9]{14}', { entropy: 3 }),
  token('notion-token', 'Notion integration token', 'ntn_', '[A-Za-z0-9]{43,50}'),
  token('notion-legacy-token', 'Notion integration token, the older kind', 'secret_', '[A-Za-z0-9]{43}', {
    entropy: 3.5,
  }),
  assign('asana-token', 'Asana access token', ['asana'], '\\d/\\d{10,16}(?:/\\d{10,16})?:[a-f0-9]{32}'),
  token('figma-token', 'Figma access token', ['figd_', 'figu_', 'figo_'], '[A-Za-z0-9_-]{40}'),
  token('hubspot-token', 'HubSpot private app token', ['pat-na1-', 'pat-na2-', 'pat-eu1-', 'pat-ap1-'], UUID),
  token('typeform-token', 'Typeform access token', 'tfp_', '[A-Za-z0-9_.-]{40,60}'),
  assign('zendesk-token', 'Zendesk API token', ['zendesk'], '[A-Za-z0-9]{40}', { entropy: 3.5 }),
  assign('freshdesk-key', 'Freshworks API key', ['freshdesk', 'freshservice', 'freshworks'], '[A-Za-z0-9]{20}', {
    entropy: 3.2,
  }),
  assign('intercom-token', 'Intercom access token', ['intercom'], '(?:dG9r[A-Za-z0-9+/]{50,80}=|[A-Za-z0-9=_-]{60})', {
    entropy: 3.5,
  }),
  token('contentful-token', 'Contentful management token', 'CFPAT-', '[A-Za-z0-9_-]{43}'),
  text('salesforce-session', 'Salesforce session id', ['00d'], '00D[A-Za-z0-9]{12,15}![A-Za-z0-9._]{80,140}', {
    tail: 90,
  }),
  text(
    'mapbox-secret-token',
    'Mapbox secret token',
    ['sk.eyj'],
    'sk\\.eyJ[A-Za-z0-9_-]{40,300}\\.[A-Za-z0-9_-]{20,24}(?![A-Za-z0-9_-])',
    { tail: 60 },
  ),
  text(
    'dropbox-token',
    'Dropbox short-lived token',
    ['sl.'],
    '(?<![A-Za-z0-9.])sl\\.(?:u\\.)?[A-Za-z0-9_-]{120,1400}',
    { tail: 120, entropy: 4 },
  ),
  text('clickup-token', 'ClickUp API token', ['pk_'], 'pk_\\d{6,10}_[A-Z0-9]{32}(?![A-Za-z0-9])', { tail: 38 }),
  token('readme-api-key', 'ReadMe API key', 'rdme_', '[a-z0-9]{70}'),
  token('frameio-token', 'Frame.io token', 'fio-u-', '[A-Za-z0-9_=-]{64}'),
  token('adobe-client-secret', 'Adobe client secret', 'p8e-', '[A-Za-z0-9_-]{32}'),
  token('beamer-token', 'Beamer API token', 'b_', '[a-z0-9=_-]{44}', { entropy: 3.8 }),
  assign('spotify-secret', 'Spotify client secret', ['spotify'], '[a-f0-9]{32}'),
  assign('strava-secret', 'Strava client secret', ['strava'], '[a-f0-9]{40}'),
  assign('openweather-key', 'OpenWeather API key', ['openweather', 'owm_api'], '[a-f0-9]{32}'),
  assign('here-api-key', 'HERE API key', ['here_api', 'hereapi'], '[A-Za-z0-9_-]{43}', { entropy: 3.5 }),
  assign('unsplash-key', 'Unsplash key', ['unsplash'], '[A-Za-z0-9_-]{43}', { entropy: 3.5 }),
  assign('docusign-secret', 'DocuSign secret', ['docusign'], UUID),
  assign('box-secret', 'Box client secret', ['box_client', 'box_secret', 'boxsdk'], '[A-Za-z0-9]{32}', {
    entropy: 3.5,
  }),
  assign(
    'calendly-token',
    'Calendly token',
    ['calendly'],
    'eyJ[A-Za-z0-9_-]{20,400}\\.[A-Za-z0-9_-]{20,600}\\.[A-Za-z0-9_-]{20,400}',
  ),
  assign('sendbird-token', 'Sendbird API token', ['sendbird'], '[a-f0-9]{40}'),
  assign('etsy-key', 'Etsy API key', ['etsy'], '[a-z0-9]{24}', { entropy: 3.2 }),
  token(
    'ebay-cert-id',
    'eBay production cert id',
    ['PRD-', 'SBX-'],
    '[a-f0-9]{12}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{4}',
    { entropy: 3 },
  ),
  text(
    'zapier-webhook',
    'Zapier catch hook',
    ['hooks.zapier.com'],
    'hooks\\.zapier\\.com/hooks/catch/(\\d{4,10}/[a-z0-9]{6,10})(?![a-z0-9])',
    { group: 1, tail: 20 },
  ),
  text(
    'make-webhook',
    'Make webhook',
    ['make.com'],
    '(?<=hook\\.[a-z0-9]{2,6}\\.)make\\.com/([a-z0-9]{32})(?![a-z0-9])',
    { group: 1, tail: 32 },
  ),
]
