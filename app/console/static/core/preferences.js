/** Language and colours, as the browser prefers them or as was chosen here. Nothing else is kept of a person. */
import { shared } from './shared.js'

const LANGUAGES = ['en', 'zh']
const THEMES = ['system', 'light', 'dark']

function kept(name, allowed) {
  try {
    const value = localStorage.getItem(`taskgate.${name}`)
    return allowed.includes(value) ? value : null
  } catch {
    return null // storage is turned off
  }
}

function keep(name, value) {
  try {
    localStorage.setItem(`taskgate.${name}`, value)
  } catch {
    // It is chosen for this page alone.
  }
}

function preferredLanguage() {
  const first = (navigator.languages || [navigator.language]).find(tag => LANGUAGES.includes(tag.slice(0, 2)))
  return first ? first.slice(0, 2) : 'en'
}

export const language = shared(kept('language', LANGUAGES) || preferredLanguage())
export const theme = shared(kept('theme', THEMES) || 'system')

function apply() {
  document.documentElement.lang = language.value === 'zh' ? 'zh-CN' : 'en'
  document.documentElement.dataset.theme = theme.value
}

export function setLanguage(value) {
  keep('language', value)
  language.set(value)
  apply()
}

export function setTheme(value) {
  keep('theme', value)
  theme.set(value)
  apply()
}

apply()
