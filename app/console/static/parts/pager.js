/** Pages by cursor: forward as the service says, back the way one has come. */
import { html, useEffect, useState } from '../core/html.js'
import { t } from '../core/words.js'
import { Button } from './basics.js'

/** The cursors that one has come by; `key` is what they are of, so that another filter begins anew. */
export function usePages(key) {
  const [trail, set] = useState([])
  useEffect(() => set([]), [key])
  return { cursor: trail.at(-1), number: trail.length + 1, forward: to => set([...trail, to]), back: () => set(trail.slice(0, -1)) }
}

export const Pager = ({ pages, next }) =>
  (next || pages.number > 1) &&
  html`
    <nav class="pager" aria-label=${t('Pages')}>
      <${Button} small icon="previous" disabled=${pages.number === 1} onClick=${pages.back}>${t('Newer')}<//>
      <span>${t('Page {n}', { n: pages.number })}</span>
      <${Button} small icon="next" disabled=${!next} onClick=${() => pages.forward(next)}>${t('Older')}<//>
    </nav>
  `
