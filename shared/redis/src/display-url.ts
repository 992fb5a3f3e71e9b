/** A connection URL without its password and query, for messages. */
export function displayUrl(url: string): string {
  try {
    const { host, pathname, protocol } = new URL(url)
    return `${protocol}//${host}${pathname}`
  } catch {
    return '(a URL that cannot be parsed)'
  }
}
