/** Series over time, drawn by uPlot, which is loaded where there is something to draw. */
import { number, time } from '../core/format.js'
import { html, useEffect, useRef, useState } from '../core/html.js'
import { language, theme } from '../core/preferences.js'
import { useShared } from '../core/shared.js'
import { t } from '../core/words.js'
import { Button } from '../parts/basics.js'

const STEP = 6

function colour(element, name) {
  return getComputedStyle(element).getPropertyValue(name).trim()
}

function addStyles() {
  const href = new URL('../vendor/uplot.css', import.meta.url).href
  if (document.querySelector(`link[href="${href}"]`)) return
  document.head.append(Object.assign(document.createElement('link'), { rel: 'stylesheet', href }))
}

/** The time of day, or the day where the plot is of more than two. */
function moments(marks) {
  const isLong = marks.at(-1) - marks[0] > 172800
  const shape = isLong ? { month: 'short', day: 'numeric' } : { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }
  const format = new Intl.DateTimeFormat(language.value === 'zh' ? 'zh-CN' : 'en', shape)
  return marks.map(mark => format.format(new Date(mark * 1000)))
}

async function draw(into, one) {
  addStyles()
  const { default: Plot } = await import('../vendor/uplot.mjs')
  const axis = { stroke: colour(into, '--muted'), grid: { stroke: colour(into, '--line'), width: 1 }, ticks: { show: false }, font: `12px ${getComputedStyle(into).fontFamily}` }
  return new Plot(
    {
      width: into.clientWidth,
      height: 180,
      legend: { show: false },
      cursor: { y: false },
      axes: [{ ...axis, values: (_, marks) => moments(marks) }, { ...axis, size: 56, values: (_, marks) => marks.map(number) }],
      series: [{}, { stroke: colour(into, '--accent'), fill: colour(into, '--accent-soft'), width: 1.75, points: { show: one.at.length < 40 } }],
    },
    [one.at, one.value],
    into,
  )
}

function Plot({ one }) {
  const place = useRef(null)
  const colours = useShared(theme)
  useEffect(() => {
    let plot = null
    let isGone = false
    const into = place.current
    draw(into, one).then(made => (isGone ? made.destroy() : (plot = made)))
    const observer = new ResizeObserver(() => plot && plot.setSize({ width: into.clientWidth, height: 180 }))
    observer.observe(into)
    return () => {
      isGone = true
      observer.disconnect()
      if (plot) plot.destroy()
    }
  }, [one.name, one.at.length, colours])
  const values = one.value.filter(each => each !== null)
  const span = values.length
    ? t('from {low} to {high}, last {last}', { low: number(Math.min(...values)), high: number(Math.max(...values)), last: number(values.at(-1)) })
    : t('no values')
  return html`
    <figure class="plot"><figcaption><b>${one.name}</b><span>${span}</span></figcaption>
      <div ref=${place} role="img" aria-label=${`${one.name}: ${span}; ${time(one.at[0] * 1000)} – ${time(one.at.at(-1) * 1000)}`} /></figure>
  `
}

export function Plots({ series }) {
  const [most, setMost] = useState(STEP)
  return html`
    <div class="plots">${series.slice(0, most).map((one, at) => html`<${Plot} key=${`${one.name} ${at}`} one=${one} />`)}</div>
    ${series.length > most && html`<div class="more"><${Button} small onClick=${() => setMost(most + STEP)}>${t('{n} more', { n: series.length - most })}<//></div>`}
  `
}
