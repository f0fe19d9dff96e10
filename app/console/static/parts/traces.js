/** What a job leaves beside its result: its log, and files to download. */
import { bytes, fullTime } from '../core/format.js'
import { html, useEffect, useRef } from '../core/html.js'
import { t } from '../core/words.js'
import { Card } from './basics.js'
import { Icon } from './icons.js'

const clock = at => new Date(at).toTimeString().slice(0, 8)

export function Log({ lines, isOver }) {
  const panel = useRef(null)
  const follows = useRef(true)
  useEffect(() => {
    if (follows.current && panel.current) panel.current.scrollTop = panel.current.scrollHeight
  }, [lines.length])
  const onScroll = () => {
    const { scrollTop, scrollHeight, clientHeight } = panel.current
    follows.current = scrollHeight - scrollTop - clientHeight < 24 // who scrolls up is left there
  }
  if (!lines.length && isOver) return null
  return html`
    <${Card} title=${t('Log')} kind="flush">
      <div class="log" ref=${panel} onScroll=${onScroll} role="log" tabindex="0" aria-label=${t('Log')}>
        ${lines.length === 0 && html`<p class="help">${t('Nothing has been said yet.')}</p>`}
        ${lines.map(line => html`<div key=${line.number} class=${`line ${line.level}`}><time title=${fullTime(line.at)}>${clock(line.at)}</time>
          <b>${line.level}</b><span>${line.message}</span></div>`)}
      </div>
    <//>
  `
}

export const Files = ({ files }) => html`
  <${Card} title=${t('Files')} kind="flush">
    <ul class="rows">${files.map(file => html`
      <li key=${file.name}><a class="row file" href=${file.url} download=${file.name}>
        <${Icon} name="file" /><b>${file.name}</b><span class="help">${file.content_type}</span><span class="numbers">${bytes(file.size)}</span><${Icon} name="download" />
      </a></li>`)}</ul>
  <//>
`
