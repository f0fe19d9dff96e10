/** Times, lengths and sizes for people, in the language that is chosen and the browser's time zone. */
import { language } from './preferences.js'
import { t } from './words.js'

const locale = () => (language.value === 'zh' ? 'zh-CN' : navigator.language.startsWith('en') ? navigator.language : 'en')

export const number = value => new Intl.NumberFormat(locale(), { maximumFractionDigits: 2 }).format(value)

export function time(at) {
  const moment = new Date(at)
  const sameDay = moment.toDateString() === new Date().toDateString()
  const day = sameDay ? {} : { month: 'short', day: 'numeric' }
  const clock = { hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23' }
  return new Intl.DateTimeFormat(locale(), { ...day, ...clock }).format(moment)
}

export const fullTime = at => new Intl.DateTimeFormat(locale(), { dateStyle: 'full', timeStyle: 'long' }).format(new Date(at))

const UNITS = [['day', 86400], ['hour', 3600], ['minute', 60], ['second', 1]]

export function relative(at, now = Date.now()) {
  const seconds = (new Date(at) - now) / 1000
  const [unit, size] = UNITS.find(([, each]) => Math.abs(seconds) >= each) || ['second', 1]
  return new Intl.RelativeTimeFormat(locale(), { numeric: 'auto', style: 'short' }).format(Math.round(seconds / size), unit)
}

export function duration(seconds) {
  if (seconds < 1) return t('{n} ms', { n: Math.round(seconds * 1000) })
  if (seconds < 60) return t('{n} s', { n: number(Math.round(seconds * 10) / 10) })
  const [days, hours, minutes] = [Math.floor(seconds / 86400), Math.floor((seconds % 86400) / 3600), Math.floor((seconds % 3600) / 60)]
  const rest = Math.floor(seconds % 60)
  if (days) return t('{d} d {h} h', { d: days, h: hours })
  if (hours) return minutes ? t('{h} h {m} min', { h: hours, m: minutes }) : t('{h} h', { h: hours })
  return rest ? t('{m} min {s} s', { m: minutes, s: rest }) : t('{m} min', { m: minutes })
}

export function bytes(size) {
  const units = ['B', 'KB', 'MB', 'GB', 'TB']
  const step = size ? Math.min(Math.floor(Math.log2(size) / 10), units.length - 1) : 0
  return `${number(Math.round((size / 1024 ** step) * 10) / 10)} ${units[step]}`
}
