/** Where one is: what stands behind the # of the address, such as `#/jobs?state=FAILURE`. */
import { shared } from './shared.js'

function parse() {
  const [path, search = ''] = location.hash.replace(/^#\/?/, '').split('?')
  const [view = '', ...rest] = path.split('/').map(decodeURIComponent)
  return { view: view || 'tasks', id: rest.join('/') || null, query: new URLSearchParams(search), hash: location.hash }
}

export const route = shared(parse())

addEventListener('hashchange', () => route.set(parse()))

export const link = (view, id) => `#/${view}${id ? `/${encodeURIComponent(id)}` : ''}`

export function go(hash) {
  location.hash = hash
}
