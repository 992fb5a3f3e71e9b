import { ForebayError } from '@forebay/kernel'

/** An object store as BLOB_URL names it: `path` is what follows the host, without slashes around it. */
export interface ObjectUrl {
  readonly scheme: string
  readonly host: string
  readonly path: string
  readonly settings: Readonly<Record<string, string>>
}

/** The settings each scheme takes after `?`. */
const settingsOf: Readonly<Record<string, readonly string[]>> = {
  s3: ['region', 'endpoint'],
  gs: ['endpoint'],
  azblob: ['endpoint'],
}

/** Reads `scheme://host/path?setting=…`. Throws `config_invalid` for another scheme, no host or an unknown setting. */
export function parseBlobUrl(url: string): ObjectUrl {
  const scheme = /^([a-z0-9]+):\/\//.exec(url)?.[1] ?? ''
  const known = settingsOf[scheme]
  if (!known || !URL.canParse(url)) {
    throw new ForebayError(
      'config_invalid',
      `BLOB_URL: '${url}' is not supported. Use file:///absolute/folder, s3://bucket/prefix, gs://bucket/prefix or azblob://account/container/prefix.`,
    )
  }
  const { host, pathname, searchParams, username } = new URL(url)
  if (host === '') throw new ForebayError('config_invalid', `BLOB_URL: '${url}' names no bucket or account.`)
  if (username !== '') {
    throw new ForebayError(
      'config_invalid',
      'BLOB_URL: credentials do not belong in it; see the docs for where they do.',
    )
  }
  for (const name of searchParams.keys()) {
    if (known.includes(name)) continue
    throw new ForebayError('config_invalid', `BLOB_URL: ${scheme}:// takes ${known.join(', ')}, not '${name}'.`)
  }
  const endpoint = searchParams.get('endpoint')
  if (endpoint !== null && !/^https?:\/\/[^/]/.test(endpoint)) {
    throw new ForebayError(
      'config_invalid',
      `BLOB_URL: the endpoint '${endpoint}' must start with http:// or https://.`,
    )
  }
  const path = decodeURIComponent(pathname).replace(/^\/+|\/+$/g, '')
  return { scheme, host, path, settings: Object.fromEntries(searchParams) }
}
