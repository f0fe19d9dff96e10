/** Texts in the language that is chosen. They stand in the code in English; `zh.js` has the Chinese ones. */
import { language } from './preferences.js'
import { ZH } from './zh.js'

/** The text, with what stands in {braces} put in. */
export function t(text, values = {}) {
  const found = language.value === 'zh' ? ZH[text] || text : text
  return found.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? values[name] : whole))
}

/** The same with a form for one. */
export const counted = (number, one, many) => t(number === 1 ? one : many, { n: new Intl.NumberFormat().format(number) })

export const stateLabel = state =>
  ({
    PENDING: t('Waiting'),
    STARTED: t('Running'),
    PROGRESS: t('Running'),
    RETRY: t('Waiting for another try'),
    SUCCESS: t('Done'),
    FAILURE: t('Failed'),
    REVOKED: t('Cancelled'),
  })[state] || state
